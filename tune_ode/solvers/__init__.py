"""Integrators of dx/dt = f(t, x), their gradients and their cost counters."""

from tune_ode.solvers.adaptive import StepSizeCache
from tune_ode.solvers.solve import solve
from tune_ode.solvers.statistics import SolveStatistics

__all__ = ["SolveStatistics", "StepSizeCache", "solve"]
