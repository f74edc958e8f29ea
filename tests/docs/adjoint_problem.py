"""Vector fields and gradients for the tests of the formulas of docs/concepts/adjoint.md.

One vector field is nonlinear and depends on t, the other is linear and has closed forms.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from tune_ode.config import FixedGridSolver, SolverConfig
from tune_ode.solvers import SolveStatistics, solve

START, END = 0.2, 1.4
FINE = FixedGridSolver(method="rk4", steps=50)
"""Errors below 1e-8 with these vector fields, and differentiable by finite differences."""

VectorField = Callable[[float | Tensor, Tensor, Tensor], Tensor]

agree = partial(torch.testing.assert_close, rtol=1e-6, atol=1e-8)
same = partial(torch.testing.assert_close, rtol=1e-12, atol=1e-13)
"""Up to rounding, which excludes a difference by the error of a solver."""


def curved(t: float | Tensor, x: Tensor, theta: Tensor) -> Tensor:
    return torch.tanh(theta @ x + t) - 0.3 * t * x**2


def linear(t: float | Tensor, x: Tensor, theta: Tensor) -> Tensor:
    return theta @ x


def loss(x: Tensor) -> Tensor:
    return (x**2).sum() / 2 + x[0] * x[1]


def numbers(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64) / 2


START_STATE = numbers(3, seed=1)
THETA = numbers(3, 3, seed=2)


def gradient_of_loss(x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    return torch.autograd.grad(loss(x), x)[0]


def state_at(
    end: float | Tensor,
    start: float = START,
    x: Tensor = START_STATE,
    theta: Tensor = THETA,
    vector_field: VectorField = curved,
    config: SolverConfig = FINE,
    statistics: SolveStatistics | None = None,
) -> Tensor:
    """Return x(end) given x at `start`, with shifted time since a solve starts at 0."""
    if end == start:
        return x

    def shifted(t: float | Tensor, x: Tensor) -> Tensor:
        return vector_field(start + t, x, theta)

    statistics = statistics or SolveStatistics()
    return solve(shifted, x, config, t1=end - start, statistics=statistics, parameters=[theta])


def gradients(
    vector_field: VectorField = curved,
    config: SolverConfig = FINE,
    start: float = START,
    statistics: SolveStatistics | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the loss with respect to x(start) and theta by this package."""
    x, theta = START_STATE.clone().requires_grad_(), THETA.clone().requires_grad_()
    last = state_at(END, start, x, theta, vector_field, config, statistics)
    return torch.autograd.grad(loss(last), [x, theta])


def products(
    t: float, x: Tensor, a: Tensor, theta: Tensor = THETA, vector_field: VectorField = curved
):
    """Return a ∂f/∂x and a ∂f/∂θ."""
    x, theta = x.detach().requires_grad_(), theta.detach().requires_grad_()
    return torch.autograd.grad(vector_field(t, x, theta), [x, theta], a)
