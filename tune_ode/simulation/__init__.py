"""Searches on a simulated clock: recorded learning curves in place of trainings."""
