"""Integration with step-size control: one device synchronization per attempted step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tune_ode.config import AdaptiveSolver
from tune_ode.solvers.control import (
    Phase,
    check_step,
    error_ratio,
    even_step_size,
    initial_step_size,
    next_step_size,
    optimal_step_size,
)
from tune_ode.solvers.runge_kutta import State, TracedStep, VectorFieldFunction, runge_kutta_step
from tune_ode.solvers.tableaux import Tableau

StepSizeCache = dict[Phase, float]
"""Best first step size of the last solve of each phase; used by the next, similar solve."""


@dataclass(slots=True)
class StepCounts:
    """Number of steps of one solve."""

    accepted: int = 0
    rejected: int = 0


def integrate_adaptively(
    vector_field: VectorFieldFunction,
    tableau: Tableau,
    config: AdaptiveSolver,
    state: State,
    *,
    t0: float,
    t1: float,
    coupled: int = 1,
    controlled: int | None = None,
    counts: StepCounts | None = None,
    on_step: Callable[[TracedStep], None] | None = None,
    step_sizes: StepSizeCache | None = None,
    phase: Phase = "forward",
) -> State:
    """Return the state at `t1`, with the error of every step within the tolerance.

    Args:
        vector_field: derivatives.
        tableau: method with error weights.
        config: tolerances, step control and bounds.
        state: state at `t0`.
        t0: initial time.
        t1: final time; below `t0` to integrate backward.
        coupled: number of leading tensors of the state that the vector field depends on.
        controlled: number of leading tensors that must keep the tolerance; None: all.
        counts: incremented by every attempted step.
        on_step: called with every accepted step.
        step_sizes: read and updated under `phase`; None: the first step size is estimated.
        phase: forward or backward pass; also named in errors.

    Raises:
        SolveFailed: a step below `min_step` or too small to advance t, more than `max_steps`
            attempts, or a non-finite value.
    """
    assert tableau.error is not None
    counts = counts if counts is not None else StepCounts()
    controlled = len(state) if controlled is None else controlled
    direction = math.copysign(1.0, t1 - t0)
    t, k1, attempts = t0, vector_field(t0, state[:coupled]), 0
    k1_reused = False
    dt = config.first_step
    if dt is None and step_sizes and phase in step_sizes:
        dt = even_step_size(step_sizes[phase], abs(t1 - t0))
    if dt is None:
        dt = initial_step_size(
            vector_field,
            config,
            tableau.order,
            t0,
            direction,
            state,
            k1,
            coupled=coupled,
            controlled=controlled,
        )
    ratio, previous_ratio = 0.0, None
    while t != t1:
        attempts += 1
        check_step(
            config,
            phase,
            t=t,
            dt=dt,
            remaining=abs(t1 - t),
            attempts=attempts,
            overflowed=not math.isfinite(ratio),
            state=state,
        )
        # the last step ends at t1 exactly
        last = t + direction * dt == t1 or (t1 - t) * direction < dt
        t_next = t1 if last else t + direction * dt
        signed_dt = t_next - t if last else direction * dt
        step = runge_kutta_step(
            vector_field, tableau, t, t_next, signed_dt, state, coupled=coupled, k1=k1
        )
        ratio = error_ratio(
            step.stages, tableau.error, signed_dt, state[:controlled], step.state, config
        )
        dt = next_step_size(config, tableau.order, abs(signed_dt), ratio, previous_ratio)
        if not ratio <= 1:
            counts.rejected += 1
            continue
        counts.accepted += 1
        if step_sizes is not None and t == t0:
            step_sizes[phase] = optimal_step_size(tableau.order, abs(signed_dt), ratio)
        if on_step is not None:
            traced_k1 = k1 if k1_reused and not tableau.first_same_as_last else None
            on_step(TracedStep(t, t_next, signed_dt, state, traced_k1))
        t, state, previous_ratio = t_next, step.state, ratio
        k1_reused = tableau.last_reused
        if t != t1:
            k1 = step.stages[-1] if k1_reused else vector_field(t, state[:coupled])
    return state
