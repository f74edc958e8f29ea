"""A search as a state machine: trials, early stopping, limits."""
