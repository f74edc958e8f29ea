"""Integration over an interval, on a grid or adaptively, as configured."""

from __future__ import annotations

from collections.abc import Callable

from tune_ode.config import AdaptiveSolver, SolverConfig
from tune_ode.solvers.adaptive import StepCounts, StepSizeCache, integrate_adaptively
from tune_ode.solvers.control import Phase
from tune_ode.solvers.fixed_grid import integrate_on_grid
from tune_ode.solvers.runge_kutta import State, TracedStep, VectorFieldFunction
from tune_ode.solvers.tableaux import TABLEAUX


def integrate(
    vector_field: VectorFieldFunction,
    config: SolverConfig,
    state: State,
    *,
    t0: float,
    t1: float,
    phase: Phase,
    coupled: int = 1,
    controlled: int | None = None,
    counts: StepCounts | None = None,
    on_step: Callable[[TracedStep], None] | None = None,
    step_sizes: StepSizeCache | None = None,
) -> State:
    """Return the state at `t1`; differentiable where gradients are enabled.

    The arguments are those of `integrate_adaptively` and `integrate_on_grid`; with a fixed-grid
    method, `phase`, `controlled` and `step_sizes` have no effect.

    Raises:
        SolveFailed: an adaptive solve violated one of its bounds.
    """
    tableau = TABLEAUX[config.method]
    if isinstance(config, AdaptiveSolver):
        return integrate_adaptively(
            vector_field,
            tableau,
            config,
            state,
            t0=t0,
            t1=t1,
            phase=phase,
            coupled=coupled,
            controlled=controlled,
            counts=counts,
            on_step=on_step,
            step_sizes=step_sizes,
        )
    if counts is not None:
        counts.accepted += config.steps
    return integrate_on_grid(
        vector_field,
        tableau,
        state,
        t0=t0,
        t1=t1,
        steps=config.steps,
        coupled=coupled,
        on_step=on_step,
    )
