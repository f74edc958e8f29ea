"""Hyperparameter search for neural-ODE image classifiers, ranked by accuracy per second."""

from tune_ode.openmp import limit_spinning

__version__ = "0.1.0"

limit_spinning()  # here, since every process imports this before torch
