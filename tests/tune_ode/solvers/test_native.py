"""Native integrators: agreement with torchdiffeq, device synchronizations, memory."""

import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.tune_ode.solvers.cases import (
    NATIVE_ADAPTIVE,
    NATIVE_FIXED,
    UNSUPPORTED,
    Field,
    Network,
    Synchronizations,
    solution,
    states,
)
from tune_ode.config import AdaptiveSolver, FixedGridSolver, SolverConfig
from tune_ode.config.solver import Gradient, StepControl
from tune_ode.errors import SolveFailed
from tune_ode.solvers import SolveStatistics, solve
from tune_ode.solvers.control import next_step_size

SHARED_FIXED, SHARED_ADAPTIVE = (
    [method for method in methods if method not in UNSUPPORTED["torchdiffeq"]]
    for methods in (NATIVE_FIXED, NATIVE_ADAPTIVE)
)


def solved(config: SolverConfig, t1: float = 1.3):
    """Solve with a backward pass; return the solution, all gradients and the counts."""
    vector_field, state, statistics = Network(), states(), SolveStatistics()
    end = solve(vector_field, state, config, t1=t1, statistics=statistics)
    end.square().sum().backward()
    return end.detach(), [state.grad, vector_field.inner.grad, vector_field.outer.grad], statistics


@pytest.mark.parametrize("method", SHARED_FIXED)
@pytest.mark.parametrize("gradient", ["backprop", "adjoint"])
def test_fixed_grid_solves_match_torchdiffeq(method, gradient):
    ours, theirs = (
        solved(FixedGridSolver(method=method, steps=5, gradient=gradient, backend=backend))
        for backend in ("native", "torchdiffeq")
    )
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-12, atol=1e-12)
    assert ours[2] == theirs[2]


@pytest.mark.parametrize("method", SHARED_ADAPTIVE)
@pytest.mark.parametrize("gradient", ["backprop", "adjoint", "adjoint_seminorm"])
@pytest.mark.parametrize("first_step", [None, 0.05, 1.0])
def test_adaptive_solves_match_torchdiffeq(method, gradient, first_step):
    """The same accepted and rejected steps, and no more evaluations."""
    tolerance = 1e-3 if method == "adaptive_heun" else 1e-4  # order 2: saves seconds
    options = {"gradient": gradient, "first_step": first_step}
    ours, theirs = (
        solved(
            AdaptiveSolver(
                method=method, rtol=tolerance, atol=tolerance / 10, backend=backend, **options
            )
        )
        for backend in ("native", "torchdiffeq")
    )
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-12, atol=1e-12)
    if gradient != "backprop" or first_step is not None:
        # torchdiffeq also differentiates its choice of a first step: a term of the error's size
        torch.testing.assert_close(ours[1], theirs[1], rtol=1e-10, atol=1e-10)
    assert (ours[2].steps, ours[2].rejected_steps) == (theirs[2].steps, theirs[2].rejected_steps)
    assert ours[2].evaluations_forward <= theirs[2].evaluations_forward
    assert ours[2].evaluations_backward <= theirs[2].evaluations_backward
    assert ours[2].vjp_backward <= theirs[2].vjp_backward


def test_the_seminorm_saves_evaluations():
    """Here only the integral for the parameters, on which nothing depends, needs small steps."""
    oscillating = Field(lambda t, x, rate: -x + rate * (100 * t).sin() * torch.ones_like(x), 0.0)
    counts = {}
    for gradient in ("adjoint", "adjoint_seminorm"):
        statistics = SolveStatistics()
        config = AdaptiveSolver(rtol=1e-6, atol=1e-6, gradient=gradient)
        state = torch.ones(1, dtype=torch.float64, requires_grad=True)
        solve(oscillating, state, config, t1=1.0, statistics=statistics).sum().backward()
        counts[gradient] = statistics.evaluations_backward
    assert counts["adjoint_seminorm"] < counts["adjoint"] / 3


def count_synchronizations(config: SolverConfig) -> tuple[int, SolveStatistics]:
    vector_field, state, statistics = Network(), states(), SolveStatistics()
    with Synchronizations() as synchronizations:
        solve(vector_field, state, config, t1=1.3, statistics=statistics).sum().backward()
    return synchronizations.count, statistics


@pytest.mark.parametrize("method", NATIVE_ADAPTIVE)
@pytest.mark.parametrize("gradient", ["backprop", "recompute"])
@pytest.mark.parametrize("control", get_args(StepControl))
def test_an_attempted_step_synchronizes_once(method, gradient, control):
    """So does the estimate of the first step size; the backward pass does not."""
    config = AdaptiveSolver(
        method=method, first_step=1.0, rtol=1e-5, gradient=gradient, step_control=control
    )
    count, statistics = count_synchronizations(config)
    assert statistics.rejected_steps > 0
    assert count == statistics.steps + statistics.rejected_steps
    count, statistics = count_synchronizations(config.model_copy(update={"first_step": None}))
    assert count == statistics.steps + statistics.rejected_steps + 1


def test_the_adjoint_synchronizes_once_per_step_in_both_directions():
    count, statistics = count_synchronizations(AdaptiveSolver(gradient="adjoint"))
    backward_attempts, remainder = divmod(statistics.evaluations_backward - 2, 6)
    assert remainder == 0
    assert count == statistics.steps + statistics.rejected_steps + backward_attempts + 2


@pytest.mark.parametrize("method", NATIVE_FIXED)
@pytest.mark.parametrize("gradient", get_args(Gradient))
def test_a_fixed_grid_solve_does_not_synchronize(method, gradient):
    config = FixedGridSolver(method=method, steps=3, gradient=gradient)
    assert count_synchronizations(config)[0] == 0


def test_the_counter_detects_the_synchronizations_of_torchdiffeq():
    """Without it the tests above could not fail."""
    count, statistics = count_synchronizations(AdaptiveSolver(backend="torchdiffeq"))
    assert count > 5 * (statistics.steps + statistics.rejected_steps)


def saved_bytes(gradient: str, steps: int) -> int:
    """Return the bytes saved for backward, each storage counted once, inputs excluded."""
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    vector_field = Network()
    state = torch.zeros(100, 5, dtype=torch.float64, requires_grad=True)
    inputs = {t.untyped_storage().data_ptr() for t in (*vector_field.parameters(), state)}
    config = FixedGridSolver(method="midpoint", steps=steps, gradient=gradient)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        end = solution(vector_field, state, config)  # keeps the tensors alive
    total = sum(size for pointer, size in saved.items() if pointer not in inputs)
    del end
    return total


def test_memory_grows_with_the_steps_as_documented_for_each_gradient():
    """From 4 to 64 steps: adjoint 0, recompute one state per step, backprop all stages."""
    state = 100 * 5 * 8
    growth = {
        gradient: (saved_bytes(gradient, 64) - saved_bytes(gradient, 4)) / 60 / state
        for gradient in ("backprop", "recompute", "adjoint")
    }
    assert growth["adjoint"] == 0
    assert growth["recompute"] == pytest.approx(1)
    assert growth["backprop"] > 3


def test_the_pi_rule_uses_the_last_two_errors():
    """Gustafsson's formula; only it may shorten a step after an accepted one."""
    integral, pi = AdaptiveSolver(), AdaptiveSolver(step_control="pi")
    assert next_step_size(integral, 5, 0.1, 0.5, 0.1) == pytest.approx(0.1 * 0.9 * 0.5**-0.2)
    assert next_step_size(pi, 5, 0.1, 0.5, 0.1) == pytest.approx(
        0.1 * 0.9 * 0.5 ** (-0.7 / 5) * 0.1 ** (0.4 / 5)
    )
    assert next_step_size(integral, 5, 0.1, 0.99, 0.1) == 0.1
    assert next_step_size(pi, 5, 0.1, 0.99, 0.1) < 0.1
    for rule in (integral, pi):
        assert next_step_size(rule, 5, 0.1, 0.0, 0.1) == 1.0
        assert next_step_size(rule, 5, 0.1, 1e9, 0.1) == pytest.approx(0.02)
        assert next_step_size(rule, 5, 0.1, math.nan, 0.1) == pytest.approx(0.02)


def test_the_pi_rule_rejects_fewer_steps_where_stability_limits_them():
    """A stiff decay, where the integral rule repeatedly exceeds the stability limit."""
    stiff = Field(lambda t, x, rate: -300.0 * (x - t.cos()))
    rejected = {}
    for rule in get_args(StepControl):
        statistics = SolveStatistics()
        config = AdaptiveSolver(step_control=rule, rtol=1e-4, atol=1e-4, max_evaluations=9_000)
        x = torch.ones(1, dtype=torch.float64)
        end = solve(stiff, x, config, t1=3.0, statistics=statistics)
        assert end.item() == pytest.approx(math.cos(3.0), abs=3e-3)
        rejected[rule] = statistics.rejected_steps
    assert rejected["pi"] < rejected["integral"]


FIELDS: dict[str, Callable[[float | Tensor, Tensor], Tensor]] = {
    "smooth": lambda t, x: torch.sin(x + t),
    "stiff": lambda t, x: -1e4 * (x - torch.as_tensor(t, dtype=x.dtype).cos()),
    "explodes": lambda t, x: x.square() * 3,
    "overflows": lambda t, x: torch.exp(50 * x),
    "jumps": lambda t, x: torch.sign(x - t) * 5,
    "nan": lambda t, x: torch.sqrt(0.5 - torch.as_tensor(t, dtype=x.dtype)) * x,
    "constant": lambda t, x: torch.zeros_like(x),
}


@pytest.mark.parametrize("gradient", get_args(Gradient))
@pytest.mark.parametrize("method", NATIVE_ADAPTIVE)
def test_a_constant_derivative_passes_the_gradient_through(method, gradient):
    state = torch.tensor([0.1, 0.7], requires_grad=True)
    config = AdaptiveSolver(method=method, gradient=gradient, first_step=0.1, max_evaluations=400)
    end = solution(FIELDS["constant"], state, config, parameters=())
    end.sum().backward()
    assert torch.equal(end, state)
    assert torch.equal(state.grad, torch.ones(2))


@st.composite
def configurations(draw: st.DrawFn) -> SolverConfig:
    gradient = draw(st.sampled_from(get_args(Gradient)))
    shared = {"gradient": gradient, "max_evaluations": draw(st.integers(1, 400))}
    if "adjoint" in gradient:
        methods = [None, *NATIVE_FIXED, *NATIVE_ADAPTIVE]
        shared["adjoint_method"] = draw(st.sampled_from(methods))
    if draw(st.booleans()):
        return FixedGridSolver(
            method=draw(st.sampled_from(NATIVE_FIXED)), steps=draw(st.integers(1, 60)), **shared
        )
    return AdaptiveSolver(
        method=draw(st.sampled_from(NATIVE_ADAPTIVE)),
        rtol=draw(st.floats(1e-9, 1)),
        atol=draw(st.floats(1e-12, 1)),
        step_control=draw(st.sampled_from(get_args(StepControl))),
        first_step=draw(st.none() | st.floats(1e-8, 1e3)),
        min_step=draw(st.just(0.0) | st.floats(0, 0.1)),
        max_steps=draw(st.integers(1, 100)),
        **shared,
    )


@given(
    config=configurations(),
    name=st.sampled_from(sorted(FIELDS)),
    t1=st.floats(1e-3, 20),
    precision=st.sampled_from([torch.float32, torch.float64]),
)
@settings(max_examples=200, deadline=None)
def test_every_solve_finishes_or_names_the_bound_it_violated(config, name, t1, precision):
    """Also with stiff, exploding and broken vector fields; within `max_evaluations` per pass."""
    calls = 0

    def vector_field(t: float | Tensor, x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return FIELDS[name](t, x)

    state = torch.tensor([0.1, 0.7], dtype=precision, requires_grad=True)
    try:
        end = solution(vector_field, state, config, t1, parameters=())
        end.sum().backward()
    except SolveFailed as failure:
        message = str(failure)
    else:
        message = "loosen"
        assert end.shape == state.shape
        if isinstance(config, AdaptiveSolver):
            assert end.isfinite().all()
    assert "\n" not in message
    assert any(word in message for word in ("loosen", "fewer", "lower", "raise"))
    assert calls <= 2 * config.max_evaluations
