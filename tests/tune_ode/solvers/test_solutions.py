"""Solutions and gradients compared with closed forms and finite differences."""

import math
from collections.abc import Callable
from functools import cache
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

from tune_ode.config import AdaptiveSolver, FixedGridSolver, SolverConfig
from tune_ode.config.solver import (
    NATIVE_ONLY,
    TORCHDIFFEQ_ONLY,
    AdaptiveMethod,
    Backend,
    FixedGridMethod,
    Gradient,
)
from tune_ode.solvers import SolveStatistics, solve
from tune_ode.solvers.fixed_grid import integrate_on_grid
from tune_ode.solvers.gradients import GRADIENTS
from tune_ode.solvers.runge_kutta import combine, runge_kutta_step
from tune_ode.solvers.solve import BACKENDS
from tune_ode.solvers.tableaux import TABLEAUX

ORDERS = {"euler": 1, "midpoint": 2, "heun2": 2, "heun3": 3, "rk4": 4, "rk4_classic": 4}


def implemented(methods: tuple[str, ...]) -> list[tuple[Backend, str]]:
    """Return each method with each backend that supports it."""
    return [
        (backend, method)
        for backend, lacks in (("native", TORCHDIFFEQ_ONLY), ("torchdiffeq", NATIVE_ONLY))
        for method in methods
        if method not in lacks
    ]


FIXED = implemented(get_args(FixedGridMethod))
ADAPTIVE = implemented(get_args(AdaptiveMethod))
ON_ADAPTIVE = pytest.mark.parametrize(("backend", "method"), ADAPTIVE)
WITH_GRADIENTS = [
    (backend, method, gradient)
    for backend, method in (*FIXED, *ADAPTIVE)
    for gradient in get_args(Gradient)
    if (backend, gradient) != ("torchdiffeq", "recompute")
]


class Field(nn.Module):
    """dx/dt as a plain function with the parameter `rate`."""

    def __init__(self, function: Callable[[Tensor, Tensor, Tensor], Tensor], rate: float = 1.0):
        super().__init__()
        self.function = function
        self.rate = nn.Parameter(torch.tensor(rate, dtype=torch.float64))

    def forward(self, t: float | Tensor, x: Tensor) -> Tensor:
        return self.function(torch.as_tensor(t, dtype=x.dtype), x, self.rate)


def linear(t: Tensor, x: Tensor, rate: Tensor) -> Tensor:
    return rate * x


def time_dependent(t: Tensor, x: Tensor, rate: Tensor) -> Tensor:
    return rate * t * x


def solve_one(vector_field: nn.Module, config: SolverConfig, t1: float) -> float:
    state = torch.tensor([1.0], dtype=torch.float64)
    with torch.no_grad():
        solution = solve(vector_field, state, config, t1=t1, statistics=SolveStatistics())
    assert solution.shape == state.shape
    assert solution.dtype == state.dtype
    return solution.item()


def fitted_order(
    vector_field: nn.Module, method: str, t1: float, exact: float, backend: str | None = None
) -> float:
    steps = [16, 32, 64, 128]
    errors = [
        abs(
            solve_one(vector_field, FixedGridSolver(method=method, steps=n, backend=backend), t1)
            - exact
        )
        for n in steps
    ]
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


def test_every_configurable_name_has_an_implementation():
    assert set(GRADIENTS) == set(get_args(Gradient))
    assert set(BACKENDS) == set(get_args(Backend))
    names = {*get_args(FixedGridMethod), *get_args(AdaptiveMethod)}
    assert set(TABLEAUX) == names - TORCHDIFFEQ_ONLY
    for name, tableau in TABLEAUX.items():
        assert (tableau.error is not None) == (name in get_args(AdaptiveMethod))


def test_every_fixed_grid_method_has_an_expected_order():
    assert {*ORDERS, "explicit_adams"} == set(get_args(FixedGridMethod))


@pytest.mark.parametrize(("backend", "method"), implemented(tuple(ORDERS)))
def test_the_error_on_a_linear_ode_has_the_order_of_the_method(method, backend):
    order = fitted_order(Field(linear, -1.5), method, 1.0, math.exp(-1.5), backend)
    assert order == pytest.approx(ORDERS[method], abs=0.1)


@pytest.mark.parametrize(("backend", "method"), implemented(tuple(ORDERS)))
def test_the_error_on_a_time_dependent_ode_has_the_order_of_the_method(method, backend):
    """Checks the times at which the stages are evaluated (rk4 gains half an order here)."""
    order = fitted_order(Field(time_dependent), method, 1.5, math.exp(1.5**2 / 2), backend)
    assert ORDERS[method] - 0.1 < order < ORDERS[method] + 0.7


def pendulum(t: float, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    angle, speed = state[0].unbind()
    return (torch.stack([speed, -torch.sin(angle) + 0.1 * math.cos(t)]),)


@cache  # the reference serves all tableaux
def pendulum_at_2(method: str, steps: int) -> Tensor:
    state = (torch.tensor([1.0, 0.2], dtype=torch.float64),)
    return integrate_on_grid(pendulum, TABLEAUX[method], state, t0=0.0, t1=2.0, steps=steps)[0]


@pytest.mark.parametrize("name", TABLEAUX)
def test_every_tableau_has_its_order_on_even_steps(name):
    """Including adaptive methods; a pendulum, compared with 4,096 steps of rk4."""
    exact = pendulum_at_2("rk4", 4096)
    steps = [16, 32, 64, 128]
    errors = [(pendulum_at_2(name, n) - exact).norm().item() for n in steps]
    order = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert order == pytest.approx(TABLEAUX[name].order, abs=0.3)


@pytest.mark.parametrize("name", get_args(AdaptiveMethod))
def test_the_error_estimate_has_the_order_of_the_method(name):
    """The embedded method is one order lower."""
    if name in TORCHDIFFEQ_ONLY:
        return
    tableau = TABLEAUX[name]
    step_sizes = [0.04, 0.02, 0.01]
    estimates = []
    for dt in step_sizes:
        state = (torch.tensor([1.0], dtype=torch.float64),)
        step = runge_kutta_step(
            lambda t, x: (torch.sin(x[0]) + t,), tableau, 0.3, 0.3 + dt, dt, state
        )
        zero = (torch.zeros(1, dtype=torch.float64),)
        (estimate,) = combine(zero, step.stages, tableau.error, dt)
        estimates.append(abs(estimate.item()))
    assert np.polyfit(np.log(step_sizes), np.log(estimates), 1)[0] == pytest.approx(
        tableau.order, abs=0.3
    )


def test_explicit_adams_has_order_4():
    """Its first steps, rk4 and Adams of order 3, dominate; on a quadrature it is stable."""
    quadrature = Field(lambda t, x, rate: rate * t.exp().expand_as(x))
    assert fitted_order(quadrature, "explicit_adams", 1.0, math.e) == pytest.approx(4, abs=0.2)


def test_explicit_adams_is_unstable_at_its_high_orders():
    """See the warning in `solve`: torchdiffeq always goes up to order 11."""
    vector_field = Field(linear, -1.5)
    few, many = (FixedGridSolver(method="explicit_adams", steps=n) for n in (4, 64))
    assert solve_one(vector_field, few, 1.0) == pytest.approx(math.exp(-1.5), abs=1e-3)
    assert abs(solve_one(vector_field, many, 1.0)) > 100


def test_rk4_is_the_three_eighths_rule():
    times: list[float] = []

    def record(t: Tensor, x: Tensor, rate: Tensor) -> Tensor:
        times.append(t.item())
        return x

    solve_one(Field(record), FixedGridSolver(method="rk4", steps=1), 1.0)
    assert times == pytest.approx([0, 1 / 3, 2 / 3, 1])


@ON_ADAPTIVE
@pytest.mark.parametrize("tolerance", [1e-4, 1e-6])
@pytest.mark.parametrize("function", [linear, time_dependent])
def test_adaptive_methods_keep_their_tolerance(backend, method, tolerance, function):
    """On [0, 2], where both solutions end at e^(−3); local errors of many steps add up.

    fehlberg2 weights the difference of its two solutions by 1/512 and underestimates its error.
    """
    within = 100 * tolerance if method == "fehlberg2" else 15 * tolerance
    config = AdaptiveSolver(method=method, rtol=tolerance, atol=tolerance, backend=backend)
    end = solve_one(Field(function, -1.5), config, 2.0)
    assert end == pytest.approx(math.exp(-3), rel=0, abs=within)


@pytest.mark.parametrize("method", ["dopri8", "dopri5", "tsit5"])
def test_high_orders_are_accurate_to_rounding_at_tight_tolerances(method):
    """Interpolating the value at t1 with a polynomial of degree 4 would be less accurate."""
    config = AdaptiveSolver(method=method, rtol=1e-12, atol=1e-12)
    assert solve_one(Field(linear, -1.5), config, 1.0) == pytest.approx(
        math.exp(-1.5), rel=1e-11 if method != "dopri8" else 1e-12, abs=0
    )


@pytest.mark.parametrize(("backend", "method", "gradient"), WITH_GRADIENTS)
def test_no_evaluation_is_outside_the_interval(make_solver, backend, method, gradient):
    """Neither beyond t1 (here not 1) nor, in the adjoint, below 0."""
    times: list[float] = []

    def record(t: Tensor, x: Tensor, rate: Tensor) -> Tensor:
        times.append(t.item())
        return rate * x

    config = make_solver(method, tolerance=1e-3, gradient=gradient, backend=backend)
    state = torch.ones(2, dtype=torch.float64, requires_grad=True)
    solve(Field(record), state, config, t1=0.3, statistics=SolveStatistics()).sum().backward()
    assert min(times) >= 0
    assert max(times) <= 0.3


class Nonlinear(nn.Module):
    def __init__(self, weight: Tensor):
        super().__init__()
        self.weight = weight

    def forward(self, t: float | Tensor, x: Tensor) -> Tensor:
        return torch.tanh(self.weight * x + t)


@pytest.mark.parametrize(
    ("backend", "method", "gradient"),
    [
        (*case, gradient)
        for case in FIXED
        for gradient in ("backprop", "recompute")
        if gradient == "backprop" or case[0] == "native"
    ],
)
def test_exact_gradients_agree_with_finite_differences(backend, method, gradient):
    """They are the gradients of the discretization, however coarse."""

    def end(state: Tensor, weight: Tensor) -> Tensor:
        config = FixedGridSolver(method=method, steps=4, gradient=gradient, backend=backend)
        return solve(
            Nonlinear(weight),
            state,
            config,
            t1=1.2,
            statistics=SolveStatistics(),
            parameters=[weight],
        )

    state = torch.tensor([0.3, -0.8], dtype=torch.float64, requires_grad=True)
    weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert gradcheck(end, (state, weight), atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("method", sorted(set(get_args(AdaptiveMethod)) - TORCHDIFFEQ_ONLY))
def test_recomputed_gradients_are_those_of_backprop(method):
    """In an adaptive solve with rejected steps, up to rounding; the solutions are equal."""
    ends, gradients = [], []
    for gradient in ("backprop", "recompute"):
        weight = torch.tensor(4.7, dtype=torch.float64, requires_grad=True)
        state = torch.tensor([0.3, -0.8], dtype=torch.float64, requires_grad=True)
        config = AdaptiveSolver(method=method, gradient=gradient, first_step=2.9, rtol=1e-6)
        statistics = SolveStatistics()
        end = solve(
            lambda t, x, weight=weight: torch.sin(weight * x + 6 * t),
            state,
            config,
            t1=3.0,
            statistics=statistics,
            parameters=[weight],
        )
        assert statistics.rejected_steps > 0
        assert statistics.steps > 3
        end.square().sum().backward()
        ends.append(end.detach())
        gradients.append(torch.cat([state.grad, weight.grad[None]]))
    assert torch.equal(*ends)
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("gradient", get_args(Gradient))
@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_every_gradient_agrees_with_finite_differences(make_solver, method, gradient):
    """In an accurate solve all four approximate the gradient of the ODE."""

    def end(state: Tensor, weight: Tensor) -> Tensor:
        config = make_solver(method, steps=64, tolerance=1e-9, gradient=gradient)
        return solve(
            Nonlinear(weight),
            state,
            config,
            t1=1.2,
            statistics=SolveStatistics(),
            parameters=[weight],
        )

    state = torch.tensor([0.3, -0.8], dtype=torch.float64, requires_grad=True)
    weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert gradcheck(end, (state, weight), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("backend", "method", "gradient"), [case for case in WITH_GRADIENTS if case[:2] in ADAPTIVE]
)
def test_gradients_of_adaptive_solves_agree_with_the_closed_form(backend, method, gradient):
    """x(t1) = x(0)·e^(a·t1); finite differences would be affected by changing step sizes."""
    vector_field = Field(linear, -1.5)
    state = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    config = AdaptiveSolver(method=method, rtol=1e-5, atol=1e-5, gradient=gradient, backend=backend)
    solve(vector_field, state, config, t1=0.8, statistics=SolveStatistics()).backward()
    growth = math.exp(-1.5 * 0.8)
    relative = 1e-2 if method == "fehlberg2" else 1e-3
    assert state.grad.item() == pytest.approx(growth, rel=relative)
    assert vector_field.rate.grad.item() == pytest.approx(0.8 * 0.5 * growth, rel=relative)


@cache  # backprop serves both adjoints
def accurate_gradients(make_solver, backend: Backend, method: str, gradient: Gradient) -> Tensor:
    """Return gradients with 64 steps (8 of Adams, where it is stable) or a tolerance of 1e-5."""
    steps = 8 if method == "explicit_adams" else 64
    config = make_solver(method, steps=steps, tolerance=1e-5, gradient=gradient, backend=backend)
    vector_field = Field(lambda t, x, rate: torch.sin(rate * x + t), 0.5)
    state = torch.tensor([0.3, -0.8], dtype=torch.float64, requires_grad=True)
    solution = solve(vector_field, state, config, t1=0.8, statistics=SolveStatistics())
    solution.square().sum().backward()
    return torch.cat([state.grad, vector_field.rate.grad[None]])


@pytest.mark.parametrize(("backend", "method"), [*FIXED, *ADAPTIVE])
@pytest.mark.parametrize("gradient", ["adjoint", "adjoint_seminorm"])
def test_adjoint_agrees_with_backprop_where_both_are_accurate(
    make_solver, backend, method, gradient
):
    accuracy = {
        "euler": 2e-2,
        "midpoint": 1e-3,
        "heun2": 1e-3,
        "explicit_adams": 1e-3,
        "fehlberg2": 1e-3,
    }.get(method, 1e-4)
    gradients = [
        accurate_gradients(make_solver, backend, method, name) for name in ("backprop", gradient)
    ]
    torch.testing.assert_close(*gradients, rtol=0, atol=accuracy)


@pytest.mark.parametrize("backend", get_args(Backend))
@pytest.mark.parametrize(("forward", "backward"), [("dopri5", "rk4"), ("euler", "bosh3")])
def test_the_adjoint_may_use_another_solver(make_solver, backend, forward, backward):
    """Even a fixed-grid solver for an adaptive one and vice versa."""
    fields = {"rk4": {"adjoint_steps": 6}, "bosh3": {"adjoint_rtol": 1e-4, "adjoint_atol": 1e-4}}
    config = make_solver(
        forward,
        steps=50,
        tolerance=1e-5,
        gradient="adjoint",
        adjoint_method=backward,
        backend=backend,
        **fields[backward],
    )
    vector_field = Field(linear, -1.5)
    state = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    statistics = SolveStatistics()
    solve(vector_field, state, config, t1=0.8, statistics=statistics).backward()
    assert state.grad.item() == pytest.approx(math.exp(-1.5 * 0.8), rel=1e-3)
    if backward == "rk4":
        assert statistics.evaluations_backward == 24
    else:
        assert (statistics.evaluations_backward - 2) % 3 == 0
        assert statistics.evaluations_forward == 50


@pytest.mark.parametrize("gradient", get_args(Gradient))
@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_frozen_parameters_and_states_get_no_gradient(make_solver, method, gradient):
    config = make_solver(method, gradient=gradient)
    vector_field = Field(linear, -1.0).requires_grad_(False)
    state = torch.ones(2, dtype=torch.float64)
    end = solve(vector_field, state, config, t1=1.0, statistics=SolveStatistics())
    assert not end.requires_grad


@pytest.mark.parametrize(("backend", "method"), implemented(("rk4", "dopri5")))
def test_a_float32_state_stays_float32(make_solver, backend, method):
    """Times are float64 and must not promote the state."""
    seen: list[torch.dtype] = []

    def record(t: Tensor, x: Tensor, rate: Tensor) -> Tensor:
        seen.extend([t.dtype, x.dtype])
        return -x

    state = torch.ones(3, 2)
    config = make_solver(method, backend=backend)
    end = solve(Field(record), state, config, t1=1.0, statistics=SolveStatistics())
    assert {*seen, end.dtype} == {torch.float32}
