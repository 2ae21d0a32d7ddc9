"""In-memory copies of a healthy training state, and the way back to them in place."""
