"""Hyperparameter search for neural-ODE image classifiers, ranked by accuracy per second."""

__version__ = "0.1.0"
