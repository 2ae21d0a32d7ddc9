"""A run as a table, and the table as a file."""
