"""Solutions and gradients against closed forms and finite differences."""

import math
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

from tune_ode.config import AdaptiveSolver, FixedGridSolver, SolverConfig
from tune_ode.config.solver import AdaptiveMethod, FixedGridMethod, Gradient
from tune_ode.solvers import SolveStatistics, reference, solve

ORDERS = {"euler": 1, "midpoint": 2, "heun2": 2, "heun3": 3, "rk4": 4}
METHODS = (*get_args(FixedGridMethod), *get_args(AdaptiveMethod))


class Field(nn.Module):
    """dx/dt as a plain function; `rate` can be learned."""

    def __init__(self, function: Callable[[Tensor, Tensor, Tensor], Tensor], rate: float = 1.0):
        super().__init__()
        self.function = function
        self.rate = nn.Parameter(torch.tensor(rate, dtype=torch.float64))

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return self.function(t, x, self.rate)


def linear(t: Tensor, x: Tensor, rate: Tensor) -> Tensor:
    return rate * x


def time_dependent(t: Tensor, x: Tensor, rate: Tensor) -> Tensor:
    return rate * t * x


def solve_one(field: nn.Module, config: SolverConfig, end_time: float, start: float = 1.0) -> float:
    state = torch.tensor([start], dtype=torch.float64)
    with torch.no_grad():
        end = solve(field, state, config, end_time=end_time, statistics=SolveStatistics())
    assert end.shape == state.shape
    assert end.dtype == state.dtype
    return end.item()


def fitted_order(field: nn.Module, method: str, end_time: float, exact: float) -> float:
    steps = [16, 32, 64, 128]
    errors = [
        abs(solve_one(field, FixedGridSolver(method=method, steps=n), end_time) - exact)
        for n in steps
    ]
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


def test_every_gradient_of_the_configuration_has_an_implementation():
    assert set(reference.GRADIENTS) == set(get_args(Gradient))


def test_every_fixed_grid_method_has_an_order_under_test():
    assert {*ORDERS, "explicit_adams"} == set(get_args(FixedGridMethod))


@pytest.mark.parametrize("method", ORDERS)
def test_error_on_a_linear_ode_falls_with_the_methods_order(method):
    order = fitted_order(Field(linear, -1.5), method, 1.0, math.exp(-1.5))
    assert order == pytest.approx(ORDERS[method], abs=0.1)


@pytest.mark.parametrize("method", ORDERS)
def test_error_on_a_time_dependent_ode_falls_with_the_methods_order(method):
    """Protects the times at which the stages are evaluated (rk4 gains half an order here)."""
    order = fitted_order(Field(time_dependent), method, 1.5, math.exp(1.5**2 / 2))
    assert ORDERS[method] - 0.1 < order < ORDERS[method] + 0.7


def test_explicit_adams_is_of_order_4():
    """Its first steps, rk4 and Adams of order 3, decide; on a quadrature it is stable."""
    quadrature = Field(lambda t, x, rate: rate * t.exp().expand_as(x))
    assert fitted_order(quadrature, "explicit_adams", 1.0, math.e) == pytest.approx(4, abs=0.2)


def test_explicit_adams_is_unstable_at_its_high_orders():
    """The warning in `solve`: torchdiffeq climbs to order 11, whatever the dynamics."""
    field = Field(linear, -1.5)
    few, many = (FixedGridSolver(method="explicit_adams", steps=n) for n in (4, 64))
    assert solve_one(field, few, 1.0) == pytest.approx(math.exp(-1.5), abs=1e-3)
    assert abs(solve_one(field, many, 1.0)) > 100


def test_rk4_is_the_three_eighths_rule():
    times: list[float] = []

    def record(t: Tensor, x: Tensor, rate: Tensor) -> Tensor:
        times.append(t.item())
        return x

    solve_one(Field(record), FixedGridSolver(method="rk4", steps=1), 1.0)
    assert times == pytest.approx([0, 1 / 3, 2 / 3, 1])


@pytest.mark.parametrize("method", get_args(AdaptiveMethod))
@pytest.mark.parametrize("tolerance", [1e-4, 1e-6])
@pytest.mark.parametrize("function", [linear, time_dependent])
def test_adaptive_methods_keep_their_tolerance(method, tolerance, function):
    """Over T = 2, where both solutions end at e^(−3); the local errors of many steps add up.

    fehlberg2 weighs the difference of its two solutions by 1/512 and sees too little of its error.
    """
    within = 100 * tolerance if method == "fehlberg2" else 15 * tolerance
    config = AdaptiveSolver(method=method, rtol=tolerance, atol=tolerance)
    end = solve_one(Field(function, -1.5), config, 2.0)
    assert end == pytest.approx(math.exp(-3), rel=0, abs=within)


def test_dopri8_is_accurate_to_rounding_at_tight_tolerances():
    """It would not be if the value at T were interpolated by a polynomial of degree 4."""
    config = AdaptiveSolver(method="dopri8", rtol=1e-12, atol=1e-12)
    assert solve_one(Field(linear, -1.5), config, 1.0) == pytest.approx(
        math.exp(-1.5), rel=1e-12, abs=0
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("gradient", get_args(Gradient))
def test_steps_end_at_the_ends_of_the_interval(make_solver, method, gradient):
    """Forward at T (which is not 1 here), the adjoint at 0: f means something in between alone."""
    times: list[float] = []

    def record(t: Tensor, x: Tensor, rate: Tensor) -> Tensor:
        times.append(t.item())
        return rate * x

    config = make_solver(method, tolerance=1e-3, gradient=gradient)
    state = torch.ones(2, dtype=torch.float64, requires_grad=True)
    solve(Field(record), state, config, end_time=0.3, statistics=SolveStatistics()).sum().backward()
    assert min(times) >= 0
    assert max(times) <= 0.3


@pytest.mark.parametrize("method", get_args(FixedGridMethod))
def test_backprop_agrees_with_finite_differences(method):
    """It is the exact gradient of the discretisation, however coarse that is."""

    class Nonlinear(nn.Module):
        def __init__(self, weight: Tensor):
            super().__init__()
            self.weight = weight

        def forward(self, t: Tensor, x: Tensor) -> Tensor:
            return torch.tanh(self.weight * x + t)

    def end(state: Tensor, weight: Tensor) -> Tensor:
        config = FixedGridSolver(method=method, steps=4)
        return solve(Nonlinear(weight), state, config, end_time=1.2, statistics=SolveStatistics())

    state = torch.tensor([0.3, -0.8], dtype=torch.float64, requires_grad=True)
    weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert gradcheck(end, (state, weight), atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("method", get_args(AdaptiveMethod))
@pytest.mark.parametrize("gradient", get_args(Gradient))
def test_gradients_of_adaptive_solves_agree_with_the_closed_form(method, gradient):
    """x(T) = x(0)·e^(aT); no finite differences, they see the step sizes move."""
    field = Field(linear, -1.5)
    state = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    config = AdaptiveSolver(method=method, rtol=1e-5, atol=1e-5, gradient=gradient)
    solve(field, state, config, end_time=0.8, statistics=SolveStatistics()).backward()
    growth = math.exp(-1.5 * 0.8)
    relative = 1e-2 if method == "fehlberg2" else 1e-3
    assert state.grad.item() == pytest.approx(growth, rel=relative)
    assert field.rate.grad.item() == pytest.approx(0.8 * 0.5 * growth, rel=relative)


@pytest.mark.parametrize("method", METHODS)
def test_adjoint_agrees_with_backprop_where_both_are_accurate(make_solver, method):
    """With 64 steps (8 of Adams, stable until there) or a tolerance of 1e-5."""
    accuracy = {
        "euler": 2e-2,
        "midpoint": 1e-3,
        "heun2": 1e-3,
        "explicit_adams": 1e-3,
        "fehlberg2": 1e-3,
    }.get(method, 1e-4)
    gradients = []
    for gradient in get_args(Gradient):
        steps = 8 if method == "explicit_adams" else 64
        config = make_solver(method, steps=steps, tolerance=1e-5, gradient=gradient)
        field = Field(lambda t, x, rate: torch.sin(rate * x + t), 0.5)
        state = torch.tensor([0.3, -0.8], dtype=torch.float64, requires_grad=True)
        end = solve(field, state, config, end_time=0.8, statistics=SolveStatistics())
        end.square().sum().backward()
        gradients.append(torch.cat([state.grad, field.rate.grad[None]]))
    torch.testing.assert_close(*gradients, rtol=0, atol=accuracy)


@pytest.mark.parametrize("gradient", get_args(Gradient))
@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_frozen_parameters_and_states_get_no_gradient(make_solver, method, gradient):
    config = make_solver(method, gradient=gradient)
    field = Field(linear, -1.0).requires_grad_(False)
    state = torch.ones(2, dtype=torch.float64)
    end = solve(field, state, config, end_time=1.0, statistics=SolveStatistics())
    assert not end.requires_grad


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_single_precision_states_stay_single(make_solver, method):
    """Steps are kept in double precision; they must not promote the state."""
    seen: list[torch.dtype] = []

    def record(t: Tensor, x: Tensor, rate: Tensor) -> Tensor:
        seen.extend([t.dtype, x.dtype])
        return -x

    state = torch.ones(3, 2)
    end = solve(
        Field(record), state, make_solver(method), end_time=1.0, statistics=SolveStatistics()
    )
    assert {*seen, end.dtype} == {torch.float32}
