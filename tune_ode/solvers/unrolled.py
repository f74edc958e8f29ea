"""A whole fixed-grid solve as one plain function, for a compiler to unroll.

Nothing in it counts or checks, since a Python attribute that changes with every call would have it
compiled again; what it costs follows from the method and the steps.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from tune_ode.config import FixedGridSolver, SolverConfig
from tune_ode.config.solver import FixedGridMethod
from tune_ode.solvers.fixed import integrate_on_grid
from tune_ode.solvers.statistics import SolveStatistics
from tune_ode.solvers.tableaux import TABLEAUX


def can_unroll(config: SolverConfig) -> bool:
    """Return whether a solve is on a grid, by backprop, native, and within its budget."""
    return (
        isinstance(config, FixedGridSolver)
        and config.gradient == "backprop"
        and config.chosen_backend == "native"
        and grid_evaluations(config.method, config.steps) <= config.max_evaluations
    )


def grid_solution(
    function: Callable[[float, Tensor], Tensor],
    x: Tensor,
    method: FixedGridMethod,
    *,
    steps: int,
    end_time: float,
) -> Tensor:
    """Return x(T) of dx/dt = f(t, x), as `solve` with gradients by backprop; differentiable."""
    (end,) = integrate_on_grid(
        lambda t, state: (function(t, *state).to(state[0].dtype),),  # type: ignore[arg-type]
        TABLEAUX[method],
        (x,),
        start=0.0,
        end=end_time,
        steps=steps,
    )
    return end


def grid_evaluations(method: FixedGridMethod, steps: int) -> int:
    """Return the evaluations of a solve on a grid."""
    return TABLEAUX[method].stages * steps


def count_grid_solution(
    statistics: SolveStatistics, method: FixedGridMethod, steps: int, end: Tensor
) -> None:
    """Count what an unrolled solve cost, and later what its backward pass costs.

    Args:
        statistics: incremented.
        method: of the solve.
        steps: of the solve.
        end: its solution, with its graph.
    """
    evaluations = grid_evaluations(method, steps)
    statistics.evaluations_forward += evaluations
    statistics.steps += steps

    def count(gradients: tuple[Tensor, ...]) -> None:
        statistics.vjp_backward += evaluations

    if end.grad_fn is not None:
        end.grad_fn.register_prehook(count)
