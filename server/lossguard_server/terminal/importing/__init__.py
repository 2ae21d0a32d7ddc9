"""What other tools have logged, read and sent as a trainer would."""
