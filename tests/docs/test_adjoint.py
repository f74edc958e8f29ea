"""Tests of the formulas of docs/concepts/adjoint.md; the page names them under each formula."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor
from torch.linalg import matrix_exp

from tests.docs.adjoint_problem import (
    END,
    FINE,
    START,
    START_STATE,
    THETA,
    VectorField,
    agree,
    curved,
    gradient_of_loss,
    gradients,
    linear,
    loss,
    numbers,
    products,
    same,
    state_at,
)
from tune_ode.config import AdaptiveSolver, FixedGridSolver
from tune_ode.solvers.integrate import integrate

JUST_BEFORE_THE_END = END - 1e-9
"""A solve needs an interval of positive length."""
FINE_ADJOINT = FixedGridSolver(method="rk4", steps=50, gradient="adjoint")
LINEAR_END = matrix_exp(THETA * (END - START)) @ START_STATE


@cache
def adjoint_at(t: float, vector_field: VectorField = curved) -> Tensor:
    """Return a(t) by its definition, the gradient of the loss with respect to x(t)."""
    x = state_at(t, vector_field=vector_field).requires_grad_()
    return torch.autograd.grad(loss(state_at(END, t, x, vector_field=vector_field)), x)[0]


def slope(function: Callable[[float], Tensor], step: float = 1e-4) -> Tensor:
    """Return a central difference of order 4."""
    near, far = (function(k * step) - function(-k * step) for k in (1, 2))
    return (8 * near - far) / (12 * step)


def integral(function: Callable[[float], Tensor], start: float, end: float) -> Tensor:
    """Return a Gauss–Legendre quadrature of degree 15."""
    points, weights = np.polynomial.legendre.leggauss(8)
    middle, half = (start + end) / 2, (end - start) / 2
    terms = [w * half * function(middle + half * p) for p, w in zip(points, weights, strict=True)]
    return torch.stack(terms).sum(0)


def unit(like: Tensor, index: int) -> Tensor:
    return torch.eye(like.numel(), dtype=like.dtype)[index].view_as(like)


def test_the_page_has_a_test_under_every_formula_and_every_test_exists():
    folder = Path(__file__).parent
    page = (folder.parents[1] / "docs" / "concepts" / "adjoint.md").read_text(encoding="utf-8")
    numbered = re.findall(r"\\tag\{(\d+)\}", page)
    assert numbered == [str(number + 1) for number in range(len(numbered))]
    formulas = re.split(r"\\tag\{\d+\}\$\$", page)[1:]
    assert len(formulas) == len(numbered)
    for number, text in zip(numbered, formulas, strict=True):
        assert text.lstrip().startswith("`test_"), f"no test under ({number})"
    tests = "".join(path.read_text(encoding="utf-8") for path in folder.glob("test_adjoint*.py"))
    written = set(re.findall(r"^def (test_\w+)", tests, re.MULTILINE))
    assert set(re.findall(r"`(test_\w+)`", page)) == {
        name for name in written if not name.startswith("test_the_page_")
    }


def test_the_solution_is_the_initial_state_plus_an_integral():
    moved = integral(lambda t: curved(t, state_at(t), THETA), START, END)
    agree(state_at(END), START_STATE + moved)


def test_a_linear_field_has_an_exponential_solution():
    agree(state_at(END, vector_field=linear), LINEAR_END)


@pytest.mark.parametrize("t", [START, 0.9])
def test_the_adjoint_is_the_gradient_of_the_loss_in_the_state(t):
    x = state_at(t)
    slopes = [
        slope(lambda e, k=k: loss(state_at(END, t, x + e * unit(x, k)))) for k in range(len(x))
    ]
    agree(adjoint_at(t), torch.stack(slopes))


def test_one_short_step_of_the_chain_rule():
    step_sizes = [0.04, 0.02, 0.01, 0.005]
    errors = []
    for dt in step_sizes:
        later = adjoint_at(0.8 + dt)
        step = later + dt * products(0.8, state_at(0.8), later)[0]
        errors.append((step - adjoint_at(0.8)).norm().item())
    assert np.polyfit(np.log(step_sizes), np.log(errors), 1)[0] == pytest.approx(2, abs=0.05)


def test_the_adjoint_obeys_its_ode():
    moving = slope(lambda e: adjoint_at(0.8 + e), step=1e-2)
    agree(moving, -products(0.8, state_at(0.8), adjoint_at(0.8))[0])


def test_the_adjoint_ends_in_the_gradient_of_the_loss():
    agree(adjoint_at(JUST_BEFORE_THE_END), gradient_of_loss(state_at(END)))


def test_the_adjoint_is_its_final_value_plus_an_integral():
    moved = integral(lambda t: products(t, state_at(t), adjoint_at(t))[0], 0.5, END)
    agree(adjoint_at(0.5), adjoint_at(JUST_BEFORE_THE_END) + moved)


def test_the_adjoint_of_a_linear_field_is_exponential():
    end = gradient_of_loss(LINEAR_END)
    for t in (START, 0.9):
        agree(adjoint_at(t, linear), end @ matrix_exp(THETA * (END - t)))


@pytest.mark.parametrize("config", [FINE_ADJOINT, FINE])
def test_the_gradient_of_the_initial_state(config):
    agree(gradients(config=config)[0], adjoint_at(START))
    end = gradient_of_loss(LINEAR_END)
    agree(gradients(linear, config)[0], end @ matrix_exp(THETA * (END - START)))


@cache
def finite_difference_in_the_parameters() -> Tensor:
    def slope_of(k: int) -> Tensor:
        return slope(lambda e: loss(state_at(END, theta=THETA + e * unit(THETA, k))))

    return torch.stack([slope_of(k) for k in range(THETA.numel())]).view_as(THETA)


@pytest.mark.parametrize(
    "config",
    [
        FINE_ADJOINT,
        AdaptiveSolver(method="dopri5", rtol=1e-9, atol=1e-9, gradient="adjoint"),
        AdaptiveSolver(method="tsit5", rtol=1e-9, atol=1e-9, gradient="adjoint_seminorm"),
    ],
    ids=lambda config: f"{config.method}-{config.gradient}",
)
def test_the_gradient_of_the_parameters(config):
    found = gradients(config=config)[1]
    agree(found, integral(lambda t: products(t, state_at(t), adjoint_at(t))[1], START, END))
    agree(found, finite_difference_in_the_parameters())


def test_the_gradient_of_the_parameters_of_a_linear_field():
    """In closed form, by the Fréchet derivative of the exponential."""
    end, span, closed = gradient_of_loss(LINEAR_END), END - START, []
    for k in range(THETA.numel()):
        direction = (unit(THETA, k) * span).numpy()
        moved = scipy.linalg.expm_frechet((THETA * span).numpy(), direction, compute_expm=False)
        closed.append(end @ torch.from_numpy(moved) @ START_STATE)
    agree(gradients(linear, FINE_ADJOINT)[1], torch.stack(closed).view_as(THETA))


def test_the_backward_solve_returns_state_adjoint_and_gradient():
    """The system of equations, which the adjoint of this package solves."""

    def backward(t: float | Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x, a = state  # nothing depends on g
        to_state, to_theta = products(t, x, a)
        return curved(t, x, THETA), -to_state, -to_theta

    last = state_at(END)
    state = (last, gradient_of_loss(last), torch.zeros_like(THETA))
    x, a, g = integrate(backward, FINE, state, t0=END, t1=START, phase="backward", coupled=2)
    agree(x, START_STATE)
    agree((a, g), gradients(config=FINE))
    same((a, g), gradients(config=FINE_ADJOINT))


def test_the_gradient_of_the_end_time():
    last, moving = state_at(END), slope(lambda e: loss(state_at(END + e)))
    agree(moving, gradient_of_loss(last) @ curved(END, last, THETA))


def test_the_gradient_of_the_start_time():
    moving = slope(lambda e: loss(state_at(END, start=START + e)))
    agree(moving, -gradients(config=FINE_ADJOINT)[0] @ curved(START, START_STATE, THETA))
    # if the vector field does not depend on t, the two gradients are opposite
    at_start = slope(lambda e: loss(state_at(END, start=START + e, vector_field=linear)))
    agree(at_start, -slope(lambda e: loss(state_at(END + e, vector_field=linear))))


def test_errors_grow_in_the_backward_solve():
    decaying = -3 * torch.eye(3, dtype=torch.float64) + THETA
    finer = FixedGridSolver(method="rk4", steps=200)
    error = 1e-3 * numbers(3, seed=3)
    end = state_at(END, theta=decaying, vector_field=linear, config=finer) + error
    (back,) = integrate(
        lambda t, state: (decaying @ state[0],), finer, (end,), t0=END, t1=START, phase="backward"
    )
    grown = matrix_exp(-decaying * (END - START)) @ error
    agree(back - START_STATE, grown)
    assert grown.norm() > 10 * error.norm()
