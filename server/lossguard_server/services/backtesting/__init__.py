"""What rules would have found in runs that are stored."""
