"""A search as a job on a Ray cluster: what is shipped, submitted, followed and stopped."""
