"""Tests of the formulas of docs/concepts/adjoint.md for solves with steps, and for a ResNet."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.docs.adjoint_problem import (
    END,
    FINE,
    START_STATE,
    THETA,
    VectorField,
    curved,
    gradient_of_loss,
    gradients,
    loss,
    numbers,
    products,
    same,
    state_at,
)
from tune_ode.classifier.ode_block import OdeBlock
from tune_ode.config import FixedGridSolver, OdeConfig
from tune_ode.solvers import SolveStatistics

STEPS = 5
STEP = END / STEPS
TIMES = [END * k / STEPS for k in range(STEPS + 1)]
LAYERS = 4
WEIGHTS = numbers(LAYERS, 3, 3, seed=4)


@pytest.mark.parametrize(("method", "stages"), [("euler", 1), ("midpoint", 2), ("rk4", 4)])
def test_evaluation_counts_follow_from_the_gradient_method(method, stages):
    steps, adjoint_steps = 3, 5
    forward, backward = stages * steps, stages * adjoint_steps
    for fields, counts in (
        ({"gradient": "backprop"}, (forward, 0, forward)),
        ({"gradient": "recompute"}, (forward, forward, forward)),
        ({"gradient": "adjoint", "adjoint_steps": adjoint_steps}, (forward, backward, backward)),
    ):
        statistics = SolveStatistics()
        config = FixedGridSolver(method=method, steps=steps, **fields)
        gradients(config=config, statistics=statistics)
        assert statistics == SolveStatistics(*counts, steps=steps)


def euler_states() -> list[Tensor]:
    states = [START_STATE]
    for t in TIMES[:-1]:
        states.append(states[-1] + STEP * curved(t, states[-1], THETA))
    return states


def test_backprop_is_the_chain_rule_of_the_steps():
    states = euler_states()
    a, g = gradient_of_loss(states[-1]), torch.zeros_like(THETA)
    for t, x in reversed(list(zip(TIMES[:-1], states[:-1], strict=True))):
        to_state, to_theta = products(t, x, a)
        a, g = a + STEP * to_state, g + STEP * to_theta
    for gradient in ("backprop", "recompute"):
        config = FixedGridSolver(method="euler", steps=STEPS, gradient=gradient)
        same(gradients(config=config, start=0.0), (a, g))


def test_the_adjoint_takes_separate_steps():
    x = euler_states()[-1]
    a, g = gradient_of_loss(x), torch.zeros_like(THETA)
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


def scalar_gradients(vector_field: VectorField, theta: float, x: float, end: float) -> list[float]:
    """Return dx(end)/dθ by backprop and by the adjoint with one Euler step, and the exact one."""
    backprop, adjoint = (
        FixedGridSolver(method="euler", steps=1, gradient=gradient)
        for gradient in ("backprop", "adjoint")
    )
    found = []
    for config in (backprop, adjoint, FINE):
        parameter = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
        state = torch.tensor(x, dtype=torch.float64)
        last = state_at(end, 0.0, state, parameter, vector_field, config)
        found.append(torch.autograd.grad(last, parameter)[0].item())
    return found


def test_three_gradients_of_one_euler_step():
    rate, x, end = -0.7, 1.3, 0.9
    found = scalar_gradients(lambda t, x, theta: theta * x, rate, x, end)
    closed = [end * x, end * (1 + rate * end) * x, end * math.exp(rate * end) * x]
    assert found == pytest.approx(closed, rel=1e-9)


def test_only_the_adjoint_trains_the_time_dependence_of_one_euler_step():
    end = 0.9
    found = scalar_gradients(lambda t, x, theta: theta * t, 0.5, 1.3, end)
    assert found == pytest.approx([0, end**2, end**2 / 2], rel=1e-9)


def resnet(x: Tensor, weights: Tensor) -> Tensor:
    """Return the state after residual layers x + F(k, x, θₖ)."""
    for k in range(LAYERS):
        x = x + curved(k, x, weights[k])
    return x


def by_euler(x: Tensor, weights: Tensor) -> Tensor:
    """Solve the vector field that equals layer ⌊t⌋ at t, with step size 1."""

    def layers(t: float, x: Tensor, weights: Tensor) -> Tensor:
        return curved(int(t), x, weights[int(t)])

    config = FixedGridSolver(method="euler", steps=LAYERS)
    return state_at(LAYERS, 0, x, weights, layers, config)


def test_euler_with_step_1_is_a_resnet():
    same(by_euler(START_STATE, WEIGHTS), resnet(START_STATE, WEIGHTS))


def test_an_ode_block_with_one_euler_step_is_a_residual_block():
    block = OdeBlock(4, OdeConfig(), FixedGridSolver(method="euler", steps=1)).double()
    x = numbers(2, 4, 6, 6, seed=5)
    same(block(x), x + block.function(0.0, x))


def test_the_backward_pass_of_a_resnet():
    x, weights = START_STATE.clone().requires_grad_(), WEIGHTS.clone().requires_grad_()
    found = torch.autograd.grad(loss(resnet(x, weights)), [x, weights])
    same(torch.autograd.grad(loss(by_euler(x, weights)), [x, weights]), found)

    states = [START_STATE]
    for k in range(LAYERS):
        states.append(states[-1] + curved(k, states[-1], WEIGHTS[k]))
    a, layers = gradient_of_loss(states[-1]), []
    for k in reversed(range(LAYERS)):
        to_state, to_weights = products(k, states[k], a, WEIGHTS[k])
        a, layers = a + to_state, [to_weights, *layers]
    same((a, torch.stack(layers)), found)
