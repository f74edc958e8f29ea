"""torchdiffeq (Chen et al. 2018, arXiv:1806.07366) behind `solve`: slow to launch, long proven."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchdiffeq import odeint, odeint_adjoint

from tune_ode.config import AdaptiveSolver, FixedGridSolver, SolverConfig
from tune_ode.config.solver import Gradient
from tune_ode.solvers.statistics import CountedFunction, GuardedFunction, SolveStatistics


@dataclass(frozen=True, slots=True)
class _Problem:
    """An initial value problem in torchdiffeq's terms."""

    function: CountedFunction
    parameters: tuple[nn.Parameter, ...]
    state: Tensor
    times: Tensor
    """0 and T."""
    settings: dict[str, Any]
    """Method, tolerances and options of the forward solve."""
    adjoint_options: dict[str, Any]
    """The options again, for the way back from T to 0."""


def solve(
    function: nn.Module,
    state: Tensor,
    config: SolverConfig,
    *,
    end_time: float,
    statistics: SolveStatistics,
) -> Tensor:
    """Integrate by torchdiffeq; see `tune_ode.solvers.solve`."""
    state_at_end = GRADIENTS[config.gradient]
    if isinstance(config, AdaptiveSolver):
        return state_at_end(_adaptive(function, state, config, end_time, statistics))
    solution = state_at_end(_fixed_grid(function, state, config, end_time, statistics))
    statistics.steps += config.steps
    return solution


def _fixed_grid(
    function: nn.Module,
    state: Tensor,
    config: FixedGridSolver,
    end_time: float,
    statistics: SolveStatistics,
) -> _Problem:
    # The grid is given point by point: rounding can make torchdiffeq's `step_size` take a step too
    # many (T=1.1 in 30 steps becomes 31).
    grid = _times(end_time, config.steps, state.device)
    return _Problem(
        function=CountedFunction(function, config, statistics),
        parameters=tuple(function.parameters()),
        state=state,
        times=grid[:: config.steps],
        settings={
            "method": config.method,
            "options": {"grid_constructor": lambda function, state, times: grid},
        },
        adjoint_options={"grid_constructor": lambda function, state, times: grid.flip(0)},
    )


def _adaptive(
    function: nn.Module,
    state: Tensor,
    config: AdaptiveSolver,
    end_time: float,
    statistics: SolveStatistics,
) -> _Problem:
    # `step_t` makes the last step end at T. By default torchdiffeq steps beyond it and interpolates
    # back with a polynomial of degree 4, less accurate than the methods of higher order.
    times = _times(end_time, 1, state.device)
    return _Problem(
        function=GuardedFunction(function, config, statistics),
        parameters=tuple(function.parameters()),
        state=state,
        times=times,
        settings={
            "method": config.method,
            "rtol": config.rtol,
            "atol": config.atol,
            "options": {"step_t": times[1:]},
        },
        adjoint_options={"step_t": times[:1]},
    )


def _times(end_time: float, steps: int, device: torch.device) -> Tensor:
    # double precision whatever the state's: a float32 grid is uneven by its rounding
    return torch.linspace(0.0, end_time, steps + 1, dtype=torch.float64, device=device)


def _backprop(problem: _Problem) -> Tensor:
    solution: Tensor = odeint(problem.function, problem.state, problem.times, **problem.settings)
    return solution[-1]


def _adjoint(problem: _Problem) -> Tensor:
    solution: Tensor = odeint_adjoint(
        problem.function,
        problem.state,
        problem.times,
        **problem.settings,
        adjoint_options=problem.adjoint_options,
        adjoint_params=problem.parameters,
    )[-1]
    if solution.grad_fn is not None:
        # runs as the solution's gradient arrives, just before the adjoint solve
        solution.grad_fn.register_prehook(problem.function.begin_backward)
    return solution


GRADIENTS: dict[Gradient, Callable[[_Problem], Tensor]] = {
    "backprop": _backprop,
    "adjoint": _adjoint,
}
