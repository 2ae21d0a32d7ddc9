"""Where a non-finite value was born: one training step, watched op by op."""
