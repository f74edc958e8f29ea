"""How the ODE is solved and differentiated."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tune_ode.config.part import Part

FixedGridMethod = Literal["euler", "midpoint", "heun2", "heun3", "rk4", "explicit_adams"]
"""Explicit methods on an even grid; `rk4` is the 3/8 rule, as in torchdiffeq."""
AdaptiveMethod = Literal["adaptive_heun", "fehlberg2", "bosh3", "dopri5", "dopri8"]
"""Explicit embedded Runge–Kutta pairs with step-size control."""
Gradient = Literal["backprop", "adjoint"]

Tolerance = Annotated[float, Field(gt=0, le=1)]


class _Solver(Part):
    gradient: Gradient = "backprop"
    """`backprop`: through the solver's steps, exact for them, memory grows with the steps;
    `adjoint`: a second ODE solved backward with the same method, constant memory, inexact
    (Chen et al. 2018)."""
    max_evaluations: Annotated[int, Field(ge=1)] = 2_000
    """Function evaluations one solve may use, forward or backward; beyond it the trial diverged."""


class FixedGridSolver(_Solver):
    """A method with a fixed number of equal steps."""

    method: FixedGridMethod = "rk4"
    steps: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Equal steps over [0, T]."""


class AdaptiveSolver(_Solver):
    """A method that chooses its steps to keep the local error within rtol·|x| + atol."""

    method: AdaptiveMethod = "dopri5"
    rtol: Tolerance = 1e-3
    atol: Tolerance = 1e-3


SolverConfig = Annotated[FixedGridSolver | AdaptiveSolver, Field(discriminator="method")]
