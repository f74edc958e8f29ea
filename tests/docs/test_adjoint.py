"""Tests of the formulas of docs/adjoint.md; the page names them under each formula.

They use a nonlinear vector field that depends on t, and a linear one with closed forms.
"""

import math
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor, nn

from tune_ode.classifier.ode_block import OdeBlock
from tune_ode.config import AdaptiveSolver, FixedGridSolver, OdeConfig, SolverConfig
from tune_ode.solvers import SolveStatistics, solve
from tune_ode.solvers.integrate import integrate

PAGE = (Path(__file__).parents[2] / "docs" / "adjoint.md").read_text(encoding="utf-8")

START, END = 0.2, 1.4
JUST_BEFORE_THE_END = END - 1e-9
"""A solve needs an interval of positive length."""
FINE = FixedGridSolver(method="rk4", steps=50)
"""Errors below 1e-8 with these vector fields, and differentiable by finite differences."""
FINE_ADJOINT = FixedGridSolver(method="rk4", steps=50, gradient="adjoint")

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
    return solve(
        lambda t, x: vector_field(start + t, x, theta),
        x,
        config,
        t1=end - start,
        statistics=statistics or SolveStatistics(),
        parameters=[theta],
    )


def gradients(
    vector_field: VectorField = curved,
    config: SolverConfig = FINE,
    start: float = START,
    end: float = END,
    statistics: SolveStatistics | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the loss with respect to x(start) and theta by this package."""
    x, theta = START_STATE.clone().requires_grad_(), THETA.clone().requires_grad_()
    last = state_at(end, start, x, theta, vector_field, config, statistics)
    return torch.autograd.grad(loss(last), [x, theta])


@cache
def adjoint_at(t: float, vector_field: VectorField = curved) -> Tensor:
    """Return a(t) by its definition, the gradient of the loss with respect to x(t)."""
    x = state_at(t, vector_field=vector_field).requires_grad_()
    return torch.autograd.grad(loss(state_at(END, t, x, vector_field=vector_field)), x)[0]


def products(
    t: float, x: Tensor, a: Tensor, theta: Tensor = THETA, vector_field: VectorField = curved
):
    """Return a ∂f/∂x and a ∂f/∂θ."""
    x, theta = x.detach().requires_grad_(), theta.detach().requires_grad_()
    return torch.autograd.grad(vector_field(t, x, theta), [x, theta], a)


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


def exponential(matrix: Tensor) -> Tensor:
    return torch.from_numpy(scipy.linalg.expm(matrix.numpy()))


def unit(like: Tensor, index: int) -> Tensor:
    return torch.eye(like.numel(), dtype=like.dtype)[index].view_as(like)


# --- the page ----------------------------------------------------------------------------


def test_the_page_has_a_test_under_every_formula_and_every_test_exists():
    numbered = re.findall(r"\\tag\{(\d+)\}", PAGE)
    assert numbered == [str(number + 1) for number in range(len(numbered))]
    formulas = re.split(r"\\tag\{\d+\}\$\$", PAGE)[1:]
    assert len(formulas) == len(numbered)
    for number, text in zip(numbered, formulas, strict=True):
        assert text.lstrip().startswith("`test_"), f"no test under ({number})"
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    here = {name for name in globals() if name.startswith("test_")}
    assert named == {name for name in here if not name.startswith("test_the_page_")}


# --- forward ------------------------------------------------------------------------------------


def test_the_solution_is_the_initial_state_plus_an_integral():
    moved = integral(lambda t: curved(t, state_at(t), THETA), START, END)
    agree(state_at(END), START_STATE + moved)


def test_a_linear_field_has_an_exponential_solution():
    agree(state_at(END, vector_field=linear), exponential(THETA * (END - START)) @ START_STATE)


# --- the adjoint --------------------------------------------------------------------------------


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
    last = state_at(END).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(last), last)
    agree(adjoint_at(JUST_BEFORE_THE_END), gradient)


def test_the_adjoint_is_its_final_value_plus_an_integral():
    moved = integral(lambda t: products(t, state_at(t), adjoint_at(t))[0], 0.5, END)
    agree(adjoint_at(0.5), adjoint_at(JUST_BEFORE_THE_END) + moved)


def test_the_adjoint_of_a_linear_field_is_exponential():
    end = exponential(THETA * (END - START)) @ START_STATE
    (gradient,) = torch.autograd.grad(loss(end.requires_grad_()), end)
    for t in (START, 0.9):
        agree(adjoint_at(t, linear), gradient @ exponential(THETA * (END - t)))


@pytest.mark.parametrize("config", [FINE_ADJOINT, FINE])
def test_the_gradient_of_the_initial_state(config):
    agree(gradients(config=config)[0], adjoint_at(START))
    end = exponential(THETA * (END - START)) @ START_STATE
    (gradient,) = torch.autograd.grad(loss(end.requires_grad_()), end)
    agree(gradients(linear, config)[0], gradient @ exponential(THETA * (END - START)))


# --- the parameters -----------------------------------------------------------------------------


@cache
def finite_difference_in_the_parameters() -> Tensor:
    slopes = [
        slope(lambda e, k=k: loss(state_at(END, theta=THETA + e * unit(THETA, k))))
        for k in range(THETA.numel())
    ]
    return torch.stack(slopes).view_as(THETA)


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
    span = END - START
    end = (exponential(THETA * span) @ START_STATE).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(end), end)
    closed = []
    for k in range(THETA.numel()):
        direction = (unit(THETA, k) * span).numpy()
        moved = scipy.linalg.expm_frechet((THETA * span).numpy(), direction, compute_expm=False)
        closed.append(gradient @ torch.from_numpy(moved) @ START_STATE)
    agree(gradients(linear, FINE_ADJOINT)[1], torch.stack(closed).view_as(THETA))


def test_the_backward_solve_returns_state_adjoint_and_gradient():
    """The system of equations, which the adjoint of this package solves."""
    last = state_at(END).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(last), last)

    def backward(t: float | Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x, a = state  # nothing depends on g
        to_state, to_theta = products(t, x, a)
        return curved(t, x, THETA), -to_state, -to_theta

    state = (last.detach(), gradient, torch.zeros_like(THETA))
    x, a, g = integrate(backward, FINE, state, t0=END, t1=START, phase="backward", coupled=2)
    agree(x, START_STATE)
    agree((a, g), gradients(config=FINE))
    same((a, g), gradients(config=FINE_ADJOINT))


# --- the interval -------------------------------------------------------------------


def test_the_gradient_of_the_end_time():
    last = state_at(END).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(last), last)
    agree(slope(lambda e: loss(state_at(END + e))), gradient @ curved(END, last.detach(), THETA))


def test_the_gradient_of_the_start_time():
    moving = slope(lambda e: loss(state_at(END, start=START + e)))
    agree(moving, -gradients(config=FINE_ADJOINT)[0] @ curved(START, START_STATE, THETA))
    # if the vector field does not depend on t, the two gradients are opposite
    at_start = slope(lambda e: loss(state_at(END, start=START + e, vector_field=linear)))
    agree(at_start, -slope(lambda e: loss(state_at(END + e, vector_field=linear))))


# --- evaluation counts ----------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "stages"), [("euler", 1), ("midpoint", 2), ("rk4", 4)])
def test_evaluation_counts_follow_from_the_gradient_method(method, stages):
    steps, back = 3, 5
    by = {}
    for gradient in ("backprop", "recompute", "adjoint"):
        fields = {"adjoint_steps": back} if gradient == "adjoint" else {}
        config = FixedGridSolver(method=method, steps=steps, gradient=gradient, **fields)
        counted = SolveStatistics()
        gradients(config=config, statistics=counted)
        by[gradient] = (
            counted.evaluations_forward, counted.evaluations_backward, counted.vjp_backward
        )  # fmt: skip
    forward = stages * steps
    assert by["backprop"] == (forward, 0, forward)
    assert by["recompute"] == (forward, forward, forward)
    assert by["adjoint"] == (forward, stages * back, stages * back)


# --- two gradients ------------------------------------------------------------------------------

STEPS = 5
STEP = END / STEPS
TIMES = [END * k / STEPS for k in range(STEPS + 1)]


def euler_states() -> list[Tensor]:
    states = [START_STATE]
    for t in TIMES[:-1]:
        states.append(states[-1] + STEP * curved(t, states[-1], THETA))
    return states


def test_backprop_is_the_chain_rule_of_the_steps():
    states = euler_states()
    last = states[-1].clone().requires_grad_()
    (a,) = torch.autograd.grad(loss(last), last)
    g = torch.zeros_like(THETA)
    for t, x in reversed(list(zip(TIMES[:-1], states[:-1], strict=True))):
        to_state, to_theta = products(t, x, a)
        a, g = a + STEP * to_state, g + STEP * to_theta
    for gradient in ("backprop", "recompute"):
        config = FixedGridSolver(method="euler", steps=STEPS, gradient=gradient)
        same(gradients(config=config, start=0.0), (a, g))


def test_the_adjoint_takes_separate_steps():
    x = euler_states()[-1].requires_grad_()
    (a,) = torch.autograd.grad(loss(x), x)
    x, g = x.detach(), torch.zeros_like(THETA)
    for t in reversed(TIMES[1:]):
        to_state, to_theta = products(t, x, a)
        x, a, g = x - STEP * curved(t, x, THETA), a + STEP * to_state, g + STEP * to_theta
    config = FixedGridSolver(method="euler", steps=STEPS, gradient="adjoint")
    found = gradients(config=config, start=0.0)
    same(found, (a, g))
    exact = gradients(config=FixedGridSolver(method="euler", steps=STEPS), start=0.0)
    assert (found[1] - exact[1]).norm() > 0.01 * exact[1].norm(), "it is another gradient"


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("midpoint", 2), ("heun3", 3)])
def test_the_two_gradients_differ_by_the_order_of_the_method(method, order):
    counts = [16, 32, 64, 128]
    errors = []
    for steps in counts:
        exact, adjoint = (
            gradients(config=FixedGridSolver(method=method, steps=steps, gradient=gradient))[1]
            for gradient in ("backprop", "adjoint")
        )
        errors.append((adjoint - exact).norm().item())
    assert -np.polyfit(np.log(counts), np.log(errors), 1)[0] == pytest.approx(order, abs=0.1)


def scalar_gradient(
    vector_field: VectorField, theta: float, x: float, end: float, config: SolverConfig
):
    parameter = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    state = torch.tensor(x, dtype=torch.float64)
    last = state_at(end, 0.0, state, parameter, vector_field, config)
    return torch.autograd.grad(last, parameter)[0].item()


BY_ONE_EULER_STEP = [
    FixedGridSolver(method="euler", steps=1, gradient="backprop"),
    FixedGridSolver(method="euler", steps=1, gradient="adjoint"),
    FINE,
]


def test_three_gradients_of_one_euler_step():
    rate, x, end = -0.7, 1.3, 0.9

    def growth(t: float | Tensor, x: Tensor, theta: Tensor) -> Tensor:
        return theta * x

    found = [scalar_gradient(growth, rate, x, end, config) for config in BY_ONE_EULER_STEP]
    closed = [end * x, end * (1 + rate * end) * x, end * math.exp(rate * end) * x]
    assert found == pytest.approx(closed, rel=1e-9)


def test_only_the_adjoint_trains_the_time_dependence_of_one_euler_step():
    end = 0.9

    def time_alone(t: float | Tensor, x: Tensor, theta: Tensor) -> Tensor:
        return theta * t

    found = [scalar_gradient(time_alone, 0.5, 1.3, end, config) for config in BY_ONE_EULER_STEP]
    assert found == pytest.approx([0, end**2, end**2 / 2], rel=1e-9)


def test_errors_grow_in_the_backward_solve():
    contracting = -3 * torch.eye(3, dtype=torch.float64) + THETA
    finer = FixedGridSolver(method="rk4", steps=200)
    error = 1e-3 * numbers(3, seed=3)
    end = state_at(END, theta=contracting, vector_field=linear, config=finer) + error
    (back,) = integrate(
        lambda t, state: (contracting @ state[0],), finer, (end,),
        t0=END, t1=START, phase="backward",
    )  # fmt: skip
    grown = exponential(-contracting * (END - START)) @ error
    agree(back - START_STATE, grown)
    assert grown.norm() > 10 * error.norm()


# --- a ResNet -----------------------------------------------------------------------------------

LAYERS = 4


class ResNet(nn.Module):
    """Residual layers x + F(k, x, θₖ)."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(numbers(LAYERS, 3, 3, seed=4))

    def residual(self, k: int, x: Tensor) -> Tensor:
        return curved(k, x, self.weights[k])

    def forward(self, x: Tensor) -> Tensor:
        for k in range(LAYERS):
            x = x + self.residual(k, x)
        return x


def by_euler(network: ResNet, x: Tensor) -> Tensor:
    """Solve the vector field that equals layer ⌊t⌋ at t, with step size 1."""
    return solve(
        lambda t, x: network.residual(int(t), x),
        x,
        FixedGridSolver(method="euler", steps=LAYERS),
        t1=LAYERS,
        statistics=SolveStatistics(),
        parameters=[network.weights],
    )


def test_euler_with_step_1_is_a_resnet():
    network = ResNet()
    same(by_euler(network, START_STATE), network(START_STATE))


def test_an_ode_block_with_one_euler_step_is_a_residual_block():
    block = OdeBlock(4, OdeConfig(), FixedGridSolver(method="euler", steps=1)).double()
    x = numbers(2, 4, 6, 6, seed=5)
    same(block(x), x + block.function(0.0, x))


def test_the_backward_pass_of_a_resnet():
    network = ResNet()
    x = START_STATE.clone().requires_grad_()
    found = torch.autograd.grad(loss(network(x)), [x, network.weights])
    same(torch.autograd.grad(loss(by_euler(network, x)), [x, network.weights]), found)

    states = [START_STATE]
    for k in range(LAYERS):
        states.append(states[-1] + network.residual(k, states[-1]).detach())
    last = states[-1].requires_grad_()
    (a,) = torch.autograd.grad(loss(last), last)
    layers = []
    for k in reversed(range(LAYERS)):
        to_state, to_weights = products(k, states[k], a, network.weights[k])
        a, layers = a + to_state, [to_weights, *layers]
    same((a, torch.stack(layers)), found)
