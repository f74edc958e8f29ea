"""A search as a job on a Ray cluster: submit, follow and stop."""
