"""First step sizes cached between solves."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.tune_ode.solvers.cases import decay
from tune_ode.config import AdaptiveSolver
from tune_ode.solvers import SolveStatistics, solve
from tune_ode.solvers.control import even_step_size, optimal_step_size

METHODS = ("adaptive_heun", "bosh3", "dopri5", "tsit5")


def run(rate, step_sizes, **fields):
    """Solve and go backward; return the error at t1, the gradient of the sum, and the counts."""
    vector_field, statistics = decay(rate), SolveStatistics()
    config = AdaptiveSolver(**{"rtol": 1e-4, "atol": 1e-4, **fields})
    x = torch.ones(3, dtype=torch.float64, requires_grad=True)
    solution = solve(vector_field, x, config, t1=1.0, statistics=statistics, step_sizes=step_sizes)
    solution.sum().backward()
    error = (solution - math.exp(-rate)).abs().max().item()
    return error, vector_field.rate.grad.item(), statistics


@pytest.mark.parametrize("method", METHODS)
def test_a_cached_first_step_saves_evaluations_at_the_same_accuracy(method):
    step_sizes = {}
    _, _, first = run(2.0, step_sizes, method=method)
    error, gradient, second = run(2.0, step_sizes, method=method)
    assert second.evaluations_forward < first.evaluations_forward
    assert second.rejected_steps == 0
    assert error < 1e-3
    assert gradient == pytest.approx(-3 * math.exp(-2), rel=1e-2)


def test_the_adjoint_caches_its_backward_step():
    step_sizes = {}
    _, _, first = run(2.0, step_sizes, method="dopri5", gradient="adjoint")
    _, gradient, second = run(2.0, step_sizes, method="dopri5", gradient="adjoint")
    assert set(step_sizes) == {"forward", "backward"}
    assert second.evaluations_backward < first.evaluations_backward
    assert gradient == pytest.approx(-3 * math.exp(-2), rel=1e-2)


@pytest.mark.parametrize("method", METHODS)
def test_a_cached_step_too_large_for_the_next_problem_is_rejected_and_replaced(method):
    step_sizes = {"forward": 1.0}
    error, _, statistics = run(60.0, step_sizes, method=method)
    assert statistics.rejected_steps >= 1
    assert error < 1e-3
    assert step_sizes["forward"] < 0.2


def test_a_configured_first_step_takes_precedence_over_a_cached_one():
    error, _, statistics = run(2.0, {"forward": 0.01}, first_step=1.0)
    expected_error, _, expected_statistics = run(2.0, None, first_step=1.0)
    assert (error, statistics) == (expected_error, expected_statistics)


@given(dt=st.floats(1e-6, 1e3), span=st.floats(1e-3, 1e2))
def test_even_steps_divide_the_interval_and_are_hardly_larger(dt, span):
    even = even_step_size(dt, span)
    assert span / even == pytest.approx(round(span / even), rel=1e-9)
    assert even <= span
    assert even <= dt / 0.9 * (1 + 1e-9)
    assert even >= min(dt, span) / 2 * (1 - 1e-9)


@given(ratio=st.floats(0, 1), order=st.integers(2, 8), dt=st.floats(1e-6, 1e2))
def test_an_optimal_step_is_below_the_tolerance_and_grows_within_bounds(ratio, order, dt):
    optimal = optimal_step_size(order, dt, ratio)
    assert 0.9 * dt * (1 - 1e-12) <= optimal <= 10 * dt
    # an error of the method's order stays below the tolerance
    assert ratio * (optimal / dt) ** order <= 1
