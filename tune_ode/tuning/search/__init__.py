"""The search as a state machine, independent of Ray."""
