"""What goes out to viewers: who gets what, in which order, and how much may wait."""
