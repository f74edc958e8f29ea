"""torchdiffeq (Chen et al. 2018, arXiv:1806.07366) behind `solve`: slow to launch, long proven."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchdiffeq import odeint, odeint_adjoint

from tune_ode.config import AdaptiveSolver, FixedGridSolver, SolverConfig
from tune_ode.config.solver import backward_solver
from tune_ode.solvers.bounds import require_step
from tune_ode.solvers.problem import Problem
from tune_ode.solvers.statistics import CountedFunction


def solve(problem: Problem, state: Tensor) -> Tensor:
    """Integrate by torchdiffeq; see `tune_ode.solvers.solve`."""
    config = problem.config
    function: CountedFunction = problem.function
    if isinstance(config, AdaptiveSolver):
        function = BoundedFunction(problem.function.function, config, problem.statistics)
    times = _times(problem.end_time, 1, state.device)
    forward = _settings(config, problem.end_time, state.device, backward=False)
    if not config.uses_adjoint:
        solution: Tensor = odeint(function, state, times, **forward)[-1]
    else:
        back = backward_solver(config)
        settings = _settings(back, problem.end_time, state.device, backward=True)
        if config.gradient == "adjoint_seminorm" and isinstance(back, AdaptiveSolver):
            settings["options"]["norm"] = "seminorm"
        solution = odeint_adjoint(
            function,
            state,
            times,
            **forward,
            **{f"adjoint_{name}": value for name, value in settings.items()},
            adjoint_params=problem.parameters,
        )[-1]
        if solution.grad_fn is not None:
            # runs as the solution's gradient arrives, just before the adjoint solve
            solution.grad_fn.register_prehook(function.begin_backward)
    if isinstance(config, FixedGridSolver):
        problem.statistics.steps += config.steps
    return solution


def _settings(
    config: SolverConfig, end_time: float, device: torch.device, *, backward: bool
) -> dict[str, Any]:
    """Return method, tolerances and options of one solve, or of its way back from T to 0."""
    if not isinstance(config, AdaptiveSolver):
        # The grid is given point by point: rounding can make torchdiffeq's `step_size` take a step
        # too many (T=1.1 in 30 steps becomes 31).
        grid = _times(end_time, config.steps, device)
        chosen = grid.flip(0) if backward else grid
        constructor: Callable[..., Tensor] = lambda function, state, times: chosen  # noqa: E731
        return {"method": config.method, "options": {"grid_constructor": constructor}}
    # `step_t` makes the last step end at the end. By default torchdiffeq steps beyond it and
    # interpolates back with a polynomial of degree 4, less accurate than methods of higher order.
    times = _times(end_time, 1, device)
    options: dict[str, Any] = {"step_t": times[:1] if backward else times[1:]}
    if config.first_step is not None:
        options["first_step"] = config.first_step
    return {
        "method": config.method,
        "rtol": config.rtol,
        "atol": config.atol,
        "options": options,
    }


def _times(end_time: float, steps: int, device: torch.device) -> Tensor:
    # double precision whatever the state's: a float32 grid is uneven by its rounding
    return torch.linspace(0.0, end_time, steps + 1, dtype=torch.float64, device=device)


class BoundedFunction(CountedFunction):
    """A counted function that watches over an adaptive solver's steps.

    torchdiffeq calls the `callback_*` methods at each step: those named `*_adjoint` in the backward
    pass, the others in the forward pass. It asserts what is checked here right afterwards; inside
    autograd's backward pass no `except` of ours could turn that assertion into a `SolveFailed`.
    """

    attempts = 0

    def begin_backward(self, gradients: tuple[Tensor, ...] = ()) -> None:
        """Count what follows as a backward pass; an autograd hook."""
        super().begin_backward(gradients)
        self.attempts = 0

    def callback_step(self, t: Tensor, x: Tensor, dt: Tensor) -> None:
        """Check the step about to be tried from (t, x)."""
        assert isinstance(self.config, AdaptiveSolver)
        self._check_step(self.config, t, dt, (x,))

    def callback_step_adjoint(self, t: Tensor, x: tuple[Tensor, ...], dt: Tensor) -> None:
        """Check a step of the adjoint."""
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
        length = abs(dt.item())
        require_step(
            config,
            self.calling,
            now=t.item(),
            # it would take a step from a state that is not finite, or one of length 0, which is
            # its answer to an error estimate of nan
            length=length if finite and length > 0 else math.nan,
            remaining=math.inf,
            attempts=self.attempts,
            overflowed=False,
            state=state,
        )
