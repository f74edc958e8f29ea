"""From one instant to another, on a grid or adaptively, as the configuration says."""

from __future__ import annotations

from collections.abc import Callable

from tune_ode.config import AdaptiveSolver, SolverConfig
from tune_ode.solvers.adaptive import FirstStep, StepCounts, integrate_adaptively
from tune_ode.solvers.fixed import integrate_on_grid
from tune_ode.solvers.runge_kutta import State, VectorFieldFunction
from tune_ode.solvers.tableaux import TABLEAUX
from tune_ode.solvers.trace import TracedStep


def integrate(
    field: VectorFieldFunction,
    config: SolverConfig,
    state: State,
    *,
    start: float,
    end: float,
    where: str,
    coupled: int = 1,
    measured: int | None = None,
    counts: StepCounts | None = None,
    record: Callable[[TracedStep], None] | None = None,
    carried: FirstStep | None = None,
) -> State:
    """Return the state at `end`; differentiable where gradients are enabled.

    Args:
        field: the derivatives.
        config: method, steps or tolerances, bounds.
        state: at `start`.
        start: where t begins.
        end: where t ends, before `start` to go backward.
        where: names the pass in an error.
        coupled: how many of the state's tensors the field depends on.
        measured: how many of them must keep an adaptive method's tolerance; None: all.
        counts: incremented by every step.
        record: told of every accepted step.
        carried: an adaptive method's, from one solve to the next.

    Raises:
        SolveFailed: an adaptive solve met one of its bounds.
    """
    tableau = TABLEAUX[config.method]
    if isinstance(config, AdaptiveSolver):
        return integrate_adaptively(
            field,
            tableau,
            config,
            state,
            start=start,
            end=end,
            where=where,
            coupled=coupled,
            measured=measured,
            counts=counts,
            record=record,
            carried=carried,
        )
    if counts is not None:
        counts.accepted += config.steps
    return integrate_on_grid(
        field,
        tableau,
        state,
        start=start,
        end=end,
        steps=config.steps,
        coupled=coupled,
        record=record,
    )
