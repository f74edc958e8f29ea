"""A first step carried from one solve to the next: what it saves, and what it must not cost."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tune_ode.config import AdaptiveSolver
from tune_ode.solvers import FirstStep, SolveStatistics, StepSizeCache, solve
from tune_ode.solvers.control import even_step_size, optimal_step_size

METHODS = ("adaptive_heun", "bosh3", "dopri5", "tsit5")


class Decay(nn.Module):
    """dx/dt = −k x; from 1 it is exp(−k) at t = 1."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(rate, dtype=torch.float64))

    def forward(self, t, x):
        return -self.rate * x


def run(rate, carried, **settings):
    """Solve and go backward; return the error of the end, the gradient of its sum, the counts."""
    field, statistics = Decay(rate), SolveStatistics()
    config = AdaptiveSolver(**{"rtol": 1e-4, "atol": 1e-4, **settings})
    start = torch.ones(3, dtype=torch.float64, requires_grad=True)
    end = solve(field, start, config, end_time=1.0, statistics=statistics, carried=carried)
    end.sum().backward()
    return (end - math.exp(-rate)).abs().max().item(), field.rate.grad.item(), statistics


@pytest.mark.parametrize("method", METHODS)
def test_the_second_solve_costs_less_and_is_as_good(method):
    carried = StepSizeCache()
    _, _, first = run(2.0, carried, method=method)
    error, gradient, second = run(2.0, carried, method=method)
    assert second.evaluations_forward < first.evaluations_forward
    assert second.rejected_steps == 0
    assert error < 1e-3
    assert gradient == pytest.approx(-3 * math.exp(-2), rel=1e-2)


def test_the_adjoint_carries_its_backward_step_as_well():
    carried = StepSizeCache()
    _, _, first = run(2.0, carried, method="dopri5", gradient="adjoint")
    _, gradient, second = run(2.0, carried, method="dopri5", gradient="adjoint")
    assert carried.backward.length is not None
    assert second.evaluations_backward < first.evaluations_backward
    assert gradient == pytest.approx(-3 * math.exp(-2), rel=1e-2)


@pytest.mark.parametrize("method", METHODS)
def test_a_step_too_long_for_the_next_problem_is_refused_and_forgotten(method):
    carried = StepSizeCache(forward=FirstStep(1.0))
    error, _, statistics = run(60.0, carried, method=method)
    assert statistics.rejected_steps >= 1
    assert error < 1e-3
    assert carried.forward.length < 0.2


def test_a_first_step_that_is_given_comes_before_one_that_is_carried():
    carried = StepSizeCache(forward=FirstStep(0.01))
    given, _, counts = run(2.0, carried, first_step=1.0)
    alone, _, same = run(2.0, None, first_step=1.0)
    assert (given, counts) == (alone, same)


@given(length=st.floats(1e-6, 1e3), span=st.floats(1e-3, 1e2))
def test_even_steps_fill_the_interval_and_are_hardly_longer(length, span):
    even = even_step_size(length, span)
    assert span / even == pytest.approx(round(span / even), rel=1e-9)
    assert even <= span
    assert even <= length / 0.9 * (1 + 1e-9)
    assert even >= min(length, span) / 2 * (1 - 1e-9)


@given(ratio=st.floats(0, 1), order=st.integers(2, 8), length=st.floats(1e-6, 1e2))
def test_a_suited_step_aims_below_the_tolerance_and_grows_within_bounds(ratio, order, length):
    suited = optimal_step_size(order, length, ratio)
    assert 0.9 * length * (1 - 1e-12) <= suited <= 10 * length
    # an error that grows with the order stays under the tolerance
    assert ratio * (suited / length) ** order <= 1
