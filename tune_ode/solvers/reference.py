"""torchdiffeq (Chen et al. 2018, arXiv:1806.07366) behind `solve`: slower, and well tested."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchdiffeq import odeint, odeint_adjoint

from tune_ode.config import AdaptiveSolver, FixedGridSolver, SolverConfig
from tune_ode.config.solver import backward_solver
from tune_ode.solvers.control import adjoint_scale, check_step
from tune_ode.solvers.problem import Problem
from tune_ode.solvers.statistics import CountedFunction


def solve(problem: Problem, state: Tensor) -> Tensor:
    """Integrate with torchdiffeq; see `tune_ode.solvers.solve`."""
    config = problem.config
    function: CountedFunction = problem.function
    if isinstance(config, AdaptiveSolver):
        function = BoundedFunction(problem.function.function, config, problem.statistics)
    times = _grid(problem.t1, 1, state.device)
    arguments = _arguments(config, problem.t1, state.device, backward=False)
    if not config.uses_adjoint:
        solution: Tensor = odeint(function, state, times, **arguments)[-1]
    else:
        backward_config = backward_solver(config)
        backward = _arguments(backward_config, problem.t1, state.device, backward=True)
        if config.gradient == "adjoint_seminorm" and isinstance(backward_config, AdaptiveSolver):
            backward["options"]["norm"] = "seminorm"
        path = odeint_adjoint(
            function,
            state,
            times,
            **arguments,
            **{f"adjoint_{name}": value for name, value in backward.items()},
            adjoint_params=problem.parameters,
        )
        solution = path[-1]
        if solution.grad_fn is not None:
            # runs when the gradient of the solution arrives, just before the adjoint solve
            solution.grad_fn.register_prehook(function.begin_backward)
            if isinstance(backward_config, AdaptiveSolver):
                _normalize_adjoint(path.grad_fn)
    if isinstance(config, FixedGridSolver):
        problem.statistics.steps += config.steps
    return solution


def _normalize_adjoint(solve: torch.autograd.graph.Node) -> None:
    """Let a backward solve integrate a(T) divided by its root mean square, as native ones do."""
    scale = torch.ones(())

    def divide(gradients: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        nonlocal scale
        scale = adjoint_scale(gradients[0][-1])
        return (gradients[0] / scale,)

    def multiply(
        found: tuple[Tensor | None, ...], _: tuple[Tensor, ...]
    ) -> tuple[Tensor | None, ...]:
        return tuple(None if gradient is None else gradient * scale for gradient in found)

    solve.register_prehook(divide)
    solve.register_hook(multiply)


def _arguments(
    config: SolverConfig, t1: float, device: torch.device, *, backward: bool
) -> dict[str, Any]:
    """Return method, tolerances and options of a solve from 0 to t1, or backward from t1 to 0."""
    if not isinstance(config, AdaptiveSolver):
        # An explicit grid: with `step_size`, rounding can make torchdiffeq take an extra step
        # (t1=1.1 in 30 steps becomes 31).
        grid = _grid(t1, config.steps, device)
        ordered = grid.flip(0) if backward else grid
        constructor: Callable[..., Tensor] = lambda function, state, times: ordered  # noqa: E731
        return {"method": config.method, "options": {"grid_constructor": constructor}}
    # `step_t` makes the last step end at t1. By default torchdiffeq steps past it and interpolates
    # with a polynomial of degree 4, less accurate than methods of higher order.
    times = _grid(t1, 1, device)
    options: dict[str, Any] = {"step_t": times[:1] if backward else times[1:]}
    if config.first_step is not None:
        options["first_step"] = config.first_step
    return {
        "method": config.method,
        "rtol": config.rtol,
        "atol": config.absolute_tolerance,
        "options": options,
    }


def _grid(t1: float, steps: int, device: torch.device) -> Tensor:
    # float64 regardless of the state's dtype: rounding makes a float32 grid uneven
    return torch.linspace(0.0, t1, steps + 1, dtype=torch.float64, device=device)


class BoundedFunction(CountedFunction):
    """A counted function that checks the steps of torchdiffeq's adaptive solvers.

    torchdiffeq calls the `callback_*` methods at each step: `*_adjoint` in the backward pass, the
    others in the forward pass. Right after the call it asserts the same conditions, but inside
    autograd's backward pass that assertion could not be caught and raised as `SolveFailed`.
    """

    attempts = 0

    def begin_backward(self, gradients: tuple[Tensor, ...] = ()) -> None:
        """Count the following calls as a backward pass; an autograd hook."""
        super().begin_backward(gradients)
        self.attempts = 0

    def callback_step(self, t: Tensor, x: Tensor, dt: Tensor) -> None:
        """Check the step about to be attempted from (t, x)."""
        assert isinstance(self.config, AdaptiveSolver)
        self._check_step(self.config, t, dt, (x,))

    def callback_step_adjoint(self, t: Tensor, x: tuple[Tensor, ...], dt: Tensor) -> None:
        """Check a step of the adjoint solve."""
        config = backward_solver(self.config)
        if isinstance(config, AdaptiveSolver):
            self._check_step(config, t, dt, x)

    def callback_accept_step(self, t: Tensor, x: Tensor, dt: Tensor) -> None:
        """Count an accepted step."""
        self.statistics.steps += 1

    def callback_reject_step(self, t: Tensor, x: Tensor, dt: Tensor) -> None:
        """Count a rejected step."""
        self.statistics.rejected_steps += 1

    def _check_step(
        self, config: AdaptiveSolver, t: Tensor, dt: Tensor, state: tuple[Tensor, ...]
    ) -> None:
        self.attempts += 1
        finite = torch.stack([part.isfinite().all() for part in state]).all().item()
        size = abs(dt.item())
        check_step(
            config,
            self.phase,
            t=t.item(),
            # torchdiffeq would step from a non-finite state, and turns a nan error estimate into
            # a step size of 0
            dt=size if finite and size > 0 else math.nan,
            remaining=math.inf,
            attempts=self.attempts,
            overflowed=False,
            state=state,
        )
