"""The search: proposals, early stopping, the run folder, and Ray behind one file."""
