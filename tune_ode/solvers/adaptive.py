"""Integration with step-size control: one read from the device an attempted step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tune_ode.config import AdaptiveSolver
from tune_ode.solvers.bounds import require_step
from tune_ode.solvers.control import (
    error_ratio,
    even_step_size,
    initial_step_size,
    next_step_size,
    optimal_step_size,
)
from tune_ode.solvers.runge_kutta import State, VectorFieldFunction, runge_kutta_step
from tune_ode.solvers.tableaux import Tableau
from tune_ode.solvers.trace import TracedStep


@dataclass(slots=True)
class StepCounts:
    """Steps of one solve."""

    accepted: int = 0
    rejected: int = 0


@dataclass(slots=True)
class FirstStep:
    """What is carried from one solve to the next, of a problem much like it."""

    length: float | None = None
    """Of a first step that would have suited; None: there was no solve."""


def integrate_adaptively(
    field: VectorFieldFunction,
    tableau: Tableau,
    config: AdaptiveSolver,
    state: State,
    *,
    start: float,
    end: float,
    coupled: int = 1,
    measured: int | None = None,
    counts: StepCounts | None = None,
    record: Callable[[TracedStep], None] | None = None,
    carried: FirstStep | None = None,
    where: str = "forward",
) -> State:
    """Return the state at `end`; every step's error is within the tolerance.

    Args:
        field: the derivatives.
        tableau: a method with error weights.
        config: tolerances, control and bounds.
        state: at `start`.
        start: where t begins.
        end: where t ends, before `start` to go backward.
        coupled: how many of the state's tensors the field depends on.
        measured: how many of the state's tensors must keep the tolerance; None: all.
        counts: incremented by every attempted step.
        record: told of every accepted step.
        carried: from the solve before, and then from this one; None: the first step is estimated.
        where: names the pass in an error.

    Raises:
        SolveFailed: a step under `min_step` or too small to advance t, more than `max_steps`
            attempts, or a value that is not finite.
    """
    assert tableau.error is not None
    counts = counts if counts is not None else StepCounts()
    measured = len(state) if measured is None else measured
    direction = math.copysign(1.0, end - start)
    now, first, attempts = start, field(start, state[:coupled]), 0
    handed_on = False
    length = config.first_step
    if length is None and carried is not None and carried.length is not None:
        length = even_step_size(carried.length, abs(end - start))
    if length is None:
        length = initial_step_size(
            field,
            config,
            tableau.order,
            start,
            direction,
            state,
            first,
            coupled=coupled,
            measured=measured,
        )
    ratio, previous = 0.0, None
    while now != end:
        attempts += 1
        require_step(
            config,
            where,
            now=now,
            length=length,
            remaining=abs(end - now),
            attempts=attempts,
            overflowed=not math.isfinite(ratio),
            state=state,
        )
        # the last step ends at the end, not just before or beyond it
        last = now + direction * length == end or (end - now) * direction < length
        there = end if last else now + direction * length
        tried = there - now if last else direction * length
        step = runge_kutta_step(
            field, tableau, now, there, tried, state, coupled=coupled, first=first
        )
        ratio = error_ratio(step.stages, tableau.error, tried, state[:measured], step.state, config)
        length = next_step_size(config, tableau.order, abs(tried), ratio, previous)
        if not ratio <= 1:
            counts.rejected += 1
            continue
        counts.accepted += 1
        if carried is not None and now == start:
            carried.length = optimal_step_size(tableau.order, abs(tried), ratio)
        if record is not None:
            kept = first if handed_on and not tableau.first_same_as_last else None
            record(TracedStep(now, there, tried, state, kept))
        now, state, previous = there, step.state, ratio
        handed_on = tableau.last_reused
        if now != end:
            first = step.stages[-1] if handed_on else field(now, state[:coupled])
    return state
