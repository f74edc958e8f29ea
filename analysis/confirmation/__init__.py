"""Confirmations of a search (`tune-ode confirm`): load, rank, show."""
