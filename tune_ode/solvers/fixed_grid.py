"""Integration on an even grid, step by step or as one plain function that a compiler unrolls.

The plain function neither counts nor checks: a Python attribute that changes with every call would
trigger recompilation. The cost follows from the method and the number of steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from torch import Tensor

from tune_ode.config import FixedGridSolver, SolverConfig
from tune_ode.config.solver import FixedGridMethod
from tune_ode.solvers.runge_kutta import State, TracedStep, VectorFieldFunction, runge_kutta_step
from tune_ode.solvers.statistics import SolveStatistics
from tune_ode.solvers.tableaux import TABLEAUX, Tableau


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


def can_unroll(config: SolverConfig) -> bool:
    """Return whether a solve is native, on a grid, with backprop, and within its evaluations."""
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
    t1: float,
) -> Tensor:
    """Return x(t1) of dx/dt = f(t, x) with x(0) = x; differentiable, as `solve` with backprop."""
    (solution,) = integrate_on_grid(
        lambda t, state: (function(t, *state).to(state[0].dtype),),  # type: ignore[arg-type]
        TABLEAUX[method],
        (x,),
        t0=0.0,
        t1=t1,
        steps=steps,
    )
    return solution


def grid_evaluations(method: FixedGridMethod, steps: int) -> int:
    """Return the number of function evaluations of a solve on a grid."""
    return TABLEAUX[method].stages * steps


def count_grid_solution(
    statistics: SolveStatistics, method: FixedGridMethod, steps: int, solution: Tensor
) -> None:
    """Count the cost of an unrolled solve, and of its backward pass when that runs.

    Args:
        statistics: incremented.
        method: method of the solve.
        steps: number of steps of the solve.
        solution: result of the solve, with its autograd graph.
    """
    evaluations = grid_evaluations(method, steps)
    statistics.evaluations_forward += evaluations
    statistics.steps += steps

    def count(gradients: tuple[Tensor, ...]) -> None:
        statistics.vjp_backward += evaluations

    if solution.grad_fn is not None:
        solution.grad_fn.register_prehook(count)
