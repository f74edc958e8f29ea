"""Record of an accepted step, from which it can be recomputed."""

from __future__ import annotations

from dataclasses import dataclass

from tune_ode.solvers.runge_kutta import State


@dataclass(frozen=True, slots=True)
class TracedStep:
    """Interval and initial state of a step."""

    t0: float
    t1: float
    dt: float
    state: State
    """State at `t0`."""
    k1: State | None
    """First stage, if it was reused from the previous step and differs from f at `state`."""
