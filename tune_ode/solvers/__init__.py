"""Integrators of dx/dt = f(t, x), their gradients, and what they cost."""

from tune_ode.solvers.adaptive import FirstStep
from tune_ode.solvers.problem import StepSizeCache
from tune_ode.solvers.solve import solve
from tune_ode.solvers.statistics import SolveStatistics

__all__ = ["FirstStep", "SolveStatistics", "StepSizeCache", "solve"]
