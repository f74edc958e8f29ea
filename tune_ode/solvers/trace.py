"""What a solve remembers of an accepted step, to take it again."""

from __future__ import annotations

from dataclasses import dataclass

from tune_ode.solvers.runge_kutta import State


@dataclass(frozen=True, slots=True)
class TracedStep:
    """Where a step began and how far it went."""

    start: float
    end: float
    length: float
    state: State
    """At the start."""
    first: State | None
    """Its first stage, where that was handed on by the step before and is not f at `state`."""
