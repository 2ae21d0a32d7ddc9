"""Tells people outside of the page: what is owed to whom, when, in which words, and how it gets there."""
