"""Solutions and gradients compared with closed forms and finite differences."""

import math
from collections.abc import Callable
from functools import cache
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from tests.tune_ode.solvers.cases import (
    ADAPTIVE,
    FIXED,
    NATIVE_ADAPTIVE,
    ON_ADAPTIVE,
    Field,
    implemented,
    make_solver,
    solution,
    with_gradients,
)
from tune_ode.config import AdaptiveSolver, FixedGridSolver, SolverConfig
from tune_ode.config.solver import (
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


def linear(t: Tensor, x: Tensor, rate: Tensor) -> Tensor:
    return rate * x


def time_dependent(t: Tensor, x: Tensor, rate: Tensor) -> Tensor:
    return rate * t * x


def solve_one(vector_field: Field, config: SolverConfig, t1: float) -> float:
    """Return the solution at `t1` from x(0) = 1."""
    state = torch.tensor([1.0], dtype=torch.float64)
    with torch.no_grad():
        end = solution(vector_field, state, config, t1)
    assert end.shape == state.shape
    assert end.dtype == state.dtype
    return end.item()


def order_of(error: Callable[[int], float]) -> float:
    """Return the exponent with which the error decreases with the number of steps."""
    steps = [16, 32, 64, 128]
    return -np.polyfit(np.log(steps), np.log([error(n) for n in steps]), 1)[0]


def fitted_order(
    vector_field: Field, method: str, t1: float, exact: float, backend: Backend | None = None
) -> float:
    def error(steps: int) -> float:
        config = FixedGridSolver(method=method, steps=steps, backend=backend)
        return abs(solve_one(vector_field, config, t1) - exact)

    return order_of(error)


def test_every_configurable_name_has_an_implementation_and_every_method_an_order():
    assert set(GRADIENTS) == set(get_args(Gradient))
    assert set(BACKENDS) == set(get_args(Backend))
    names = {*get_args(FixedGridMethod), *get_args(AdaptiveMethod)}
    assert set(TABLEAUX) == names - TORCHDIFFEQ_ONLY
    for name, tableau in TABLEAUX.items():
        assert (tableau.error is not None) == (name in get_args(AdaptiveMethod))
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
    order = order_of(lambda steps: (pendulum_at_2(name, steps) - exact).norm().item())
    assert order == pytest.approx(TABLEAUX[name].order, abs=0.3)


@pytest.mark.parametrize("name", NATIVE_ADAPTIVE)
def test_the_error_estimate_has_the_order_of_the_method(name):
    """The embedded method is one order lower."""
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
    order = np.polyfit(np.log(step_sizes), np.log(estimates), 1)[0]
    assert order == pytest.approx(tableau.order, abs=0.3)


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


@pytest.mark.parametrize(("backend", "method", "gradient"), with_gradients([*FIXED, *ADAPTIVE]))
def test_no_evaluation_is_outside_the_interval(backend, method, gradient):
    """Neither beyond t1 (here not 1) nor, in the adjoint, below 0."""
    times: list[float] = []

    def record(t: Tensor, x: Tensor, rate: Tensor) -> Tensor:
        times.append(t.item())
        return rate * x

    config = make_solver(method, tolerance=1e-3, gradient=gradient, backend=backend)
    state = torch.ones(2, dtype=torch.float64, requires_grad=True)
    solution(Field(record), state, config, 0.3).sum().backward()
    assert min(times) >= 0
    assert max(times) <= 0.3


def check_gradients(config: SolverConfig, *, atol: float, rtol: float) -> None:
    """Compare the gradients of a solve with finite differences."""

    def end(state: Tensor, weight: Tensor) -> Tensor:
        return solution(
            lambda t, x: torch.tanh(weight * x + t), state, config, t1=1.2, parameters=[weight]
        )

    state = torch.tensor([0.3, -0.8], dtype=torch.float64, requires_grad=True)
    weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert gradcheck(end, (state, weight), atol=atol, rtol=rtol)


@pytest.mark.parametrize(
    ("backend", "method", "gradient"),
    [case for case in with_gradients(FIXED) if case[2] in ("backprop", "recompute")],
)
def test_exact_gradients_agree_with_finite_differences(backend, method, gradient):
    """They are the gradients of the discretization, however coarse."""
    config = FixedGridSolver(method=method, steps=4, gradient=gradient, backend=backend)
    check_gradients(config, atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("gradient", get_args(Gradient))
@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_every_gradient_agrees_with_finite_differences(method, gradient):
    """In an accurate solve all four approximate the gradient of the ODE."""
    config = make_solver(method, steps=64, tolerance=1e-9, gradient=gradient)
    check_gradients(config, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("method", NATIVE_ADAPTIVE)
def test_recomputed_gradients_are_those_of_backprop(method):
    """In an adaptive solve with rejected steps, up to rounding; the solutions are equal."""
    ends, gradients = [], []
    for gradient in ("backprop", "recompute"):
        weight = torch.tensor(4.7, dtype=torch.float64, requires_grad=True)
        state = torch.tensor([0.3, -0.8], dtype=torch.float64, requires_grad=True)
        config = AdaptiveSolver(
            method=method, gradient=gradient, first_step=2.9, rtol=1e-6, atol=1e-3
        )
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


@pytest.mark.parametrize(("backend", "method", "gradient"), with_gradients(ADAPTIVE))
def test_gradients_of_adaptive_solves_agree_with_the_closed_form(backend, method, gradient):
    """x(t1) = x(0)·e^(a·t1); finite differences would be affected by changing step sizes."""
    vector_field = Field(linear, -1.5)
    state = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    config = AdaptiveSolver(method=method, rtol=1e-5, atol=1e-5, gradient=gradient, backend=backend)
    solution(vector_field, state, config, 0.8).backward()
    growth = math.exp(-1.5 * 0.8)
    relative = 1e-2 if method == "fehlberg2" else 1e-3
    assert state.grad.item() == pytest.approx(growth, rel=relative)
    assert vector_field.rate.grad.item() == pytest.approx(0.8 * 0.5 * growth, rel=relative)


@cache  # backprop serves both adjoints
def accurate_gradients(backend: Backend, method: str, gradient: Gradient) -> Tensor:
    """Return gradients with 64 steps (8 of Adams, where it is stable) or a tolerance of 1e-5."""
    steps = 8 if method == "explicit_adams" else 64
    config = make_solver(method, steps=steps, tolerance=1e-5, gradient=gradient, backend=backend)
    vector_field = Field(lambda t, x, rate: torch.sin(rate * x + t), 0.5)
    state = torch.tensor([0.3, -0.8], dtype=torch.float64, requires_grad=True)
    end = solution(vector_field, state, config, 0.8)
    end.square().sum().backward()
    return torch.cat([state.grad, vector_field.rate.grad[None]])


@pytest.mark.parametrize(("backend", "method"), [*FIXED, *ADAPTIVE])
@pytest.mark.parametrize("gradient", ["adjoint", "adjoint_seminorm"])
def test_adjoint_agrees_with_backprop_where_both_are_accurate(backend, method, gradient):
    atol = {
        "euler": 2e-2,
        "midpoint": 1e-3,
        "heun2": 1e-3,
        "explicit_adams": 1e-3,
        "fehlberg2": 1e-3,
    }
    gradients = [accurate_gradients(backend, method, name) for name in ("backprop", gradient)]
    torch.testing.assert_close(*gradients, rtol=0, atol=atol.get(method, 1e-4))


@pytest.mark.parametrize("backend", get_args(Backend))
@pytest.mark.parametrize(("forward", "backward"), [("dopri5", "rk4"), ("euler", "bosh3")])
def test_the_adjoint_may_use_another_solver(backend, forward, backward):
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
def test_frozen_parameters_and_states_get_no_gradient(method, gradient):
    config = make_solver(method, gradient=gradient)
    vector_field = Field(linear, -1.0).requires_grad_(False)
    state = torch.ones(2, dtype=torch.float64)
    end = solution(vector_field, state, config)
    assert not end.requires_grad


@pytest.mark.parametrize(("backend", "method"), implemented(("rk4", "dopri5")))
def test_a_float32_state_stays_float32(backend, method):
    """Times are float64 and must not promote the state."""
    seen: list[torch.dtype] = []

    def record(t: Tensor, x: Tensor, rate: Tensor) -> Tensor:
        seen.extend([t.dtype, x.dtype])
        return -x

    state = torch.ones(3, 2)
    config = make_solver(method, backend=backend)
    end = solution(Field(record), state, config)
    assert {*seen, end.dtype} == {torch.float32}
