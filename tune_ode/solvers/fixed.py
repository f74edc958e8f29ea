"""Integration on an even grid."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from tune_ode.solvers.runge_kutta import State, VectorFieldFunction, runge_kutta_step
from tune_ode.solvers.tableaux import Tableau
from tune_ode.solvers.trace import TracedStep


def integrate_on_grid(
    field: VectorFieldFunction,
    tableau: Tableau,
    state: State,
    *,
    start: float,
    end: float,
    steps: int,
    coupled: int = 1,
    record: Callable[[TracedStep], None] | None = None,
) -> State:
    """Return the state at `end` after equal steps; reads nothing from the device.

    Args:
        field: the derivatives.
        tableau: the method.
        state: at `start`.
        start: where t begins.
        end: where t ends, before `start` to go backward.
        steps: their number.
        coupled: how many of the state's tensors the field depends on.
        record: told of every step.
    """
    length = (end - start) / steps
    # each instant from the whole interval: sums of steps drift, and could miss the end
    instants = [start + (end - start) * step / steps for step in range(steps)] + [end]
    for here, there in itertools.pairwise(instants):
        if record is not None:
            record(TracedStep(here, there, length, state, None))
        state = runge_kutta_step(field, tableau, here, there, length, state, coupled=coupled).state
    return state
