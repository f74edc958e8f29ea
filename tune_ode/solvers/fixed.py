"""Integration on an even grid."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from tune_ode.solvers.runge_kutta import State, VectorFieldFunction, runge_kutta_step
from tune_ode.solvers.tableaux import Tableau
from tune_ode.solvers.trace import TracedStep


def integrate_on_grid(
    vector_field: VectorFieldFunction,
    tableau: Tableau,
    state: State,
    *,
    t0: float,
    t1: float,
    steps: int,
    coupled: int = 1,
    on_step: Callable[[TracedStep], None] | None = None,
) -> State:
    """Return the state at `t1` after equal steps; does not synchronize with the device.

    Args:
        vector_field: derivatives.
        tableau: method.
        state: state at `t0`.
        t0: initial time.
        t1: final time; below `t0` to integrate backward.
        steps: number of steps.
        coupled: number of leading tensors of the state that the vector field depends on.
        on_step: called with every step.
    """
    dt = (t1 - t0) / steps
    # computed from the interval: a running sum of steps drifts and could miss t1
    times = [t0 + (t1 - t0) * step / steps for step in range(steps)] + [t1]
    for t, t_next in itertools.pairwise(times):
        if on_step is not None:
            on_step(TracedStep(t, t_next, dt, state, None))
        state = runge_kutta_step(vector_field, tableau, t, t_next, dt, state, coupled=coupled).state
    return state
