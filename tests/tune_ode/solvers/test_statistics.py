"""Counters of a solve, and the bounds at which it fails."""

from typing import get_args

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.tune_ode.solvers.cases import (
    FIXED,
    ON_ADAPTIVE,
    UNSUPPORTED,
    Field,
    decay,
    make_solver,
    solution,
    with_gradients,
)
from tune_ode.config import AdaptiveSolver, FixedGridSolver
from tune_ode.config.solver import AdaptiveMethod, Backend, FixedGridMethod, Gradient
from tune_ode.errors import SolveFailed
from tune_ode.solvers import SolveStatistics, solve
from tune_ode.solvers.tableaux import TABLEAUX

STAGES = {"euler": 1, "midpoint": 2, "heun2": 2, "heun3": 3, "rk4": 4, "rk4_classic": 4}
# Stages per step, after two evaluations for the first derivative and step size. The last stage is
# the first of the next step ("first same as last"), except with dopri8.
ADAPTIVE_STAGES = {
    "adaptive_heun": 1,
    "fehlberg2": 2,
    "bosh3": 3,
    "dopri5": 6,
    "tsit5": 6,
    "dopri8": 13,
}
ON_BOTH = pytest.mark.parametrize("backend", get_args(Backend))


def bend(t: Tensor, x: Tensor, rate: Tensor) -> Tensor:
    """Change sign sharply at t = 1/2, where adaptive methods reject steps."""
    return x * torch.tanh(400 * (t.detach() - 0.5))


def explosion(t: Tensor, x: Tensor, rate: Tensor) -> Tensor:
    """Return dx/dt = x², which is infinite at t = 1/x(0)."""
    return x.square()


def run(vector_field, config, *, t1=1.0, statistics=None):
    """Solve from x(0) = (1, 2) with a backward pass; return the statistics."""
    statistics = statistics or SolveStatistics()
    state = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    solve(vector_field, state, config, t1=t1, statistics=statistics).sum().backward()
    return statistics


def evaluations_of_adams(steps: int) -> int:
    """Two steps of rk4, then one evaluation per step."""
    return 4 * min(steps, 2) + max(steps - 2, 0)


def test_every_method_has_an_expected_number_of_evaluations():
    assert {*STAGES, "explicit_adams"} == set(get_args(FixedGridMethod))
    assert set(ADAPTIVE_STAGES) == set(get_args(AdaptiveMethod))


@pytest.mark.parametrize(("backend", "method", "gradient"), with_gradients(FIXED))
@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_fixed_grids_evaluate_once_per_stage(backend, method, gradient, steps):
    config = FixedGridSolver(method=method, steps=steps, gradient=gradient, backend=backend)
    evaluations = (
        evaluations_of_adams(steps) if method == "explicit_adams" else STAGES[method] * steps
    )
    assert run(decay(), config) == SolveStatistics(
        evaluations_forward=evaluations,
        evaluations_backward=0 if gradient == "backprop" else evaluations,
        vjp_backward=evaluations,
        steps=steps,
    )


@ON_BOTH
@given(
    steps=st.integers(1, 40),
    t1=st.floats(0.01, 100),
    gradient=st.sampled_from(["backprop", "adjoint"]),
)
@example(steps=30, t1=1.1, gradient="backprop")
@settings(max_examples=40, deadline=None)
def test_rounding_never_adds_a_step(backend, steps, t1, gradient):
    """torchdiffeq's own grid has 31 steps for t1 = 1.1 in 30 steps."""
    config = FixedGridSolver(method="euler", steps=steps, gradient=gradient, backend=backend)
    statistics = run(decay(0.01), config, t1=t1)
    assert statistics.evaluations_forward == steps
    assert statistics.vjp_backward == steps


@ON_ADAPTIVE
def test_adaptive_methods_count_every_attempted_step(backend, method):
    config = AdaptiveSolver(method=method, rtol=1e-3, atol=1e-3, backend=backend)
    statistics = run(Field(bend), config)
    attempts = statistics.steps + statistics.rejected_steps
    assert statistics.rejected_steps > 0
    assert statistics.evaluations_forward == 2 + ADAPTIVE_STAGES[method] * attempts
    assert statistics.evaluations_backward == 0


@ON_ADAPTIVE
def test_backprop_does_not_differentiate_rejected_steps(backend, method):
    """It differentiates f(0, x), the accepted steps and the estimate of the first step size.

    Native solves exclude the last stage of the last step, which only the error estimate needs.
    """
    config = AdaptiveSolver(method=method, rtol=1e-3, atol=1e-3, backend=backend)
    statistics = run(Field(bend), config)
    accepted = ADAPTIVE_STAGES[method] * statistics.steps
    excluded = backend == "native" and TABLEAUX[method].first_same_as_last
    assert statistics.vjp_backward - accepted in ((0,) if excluded else (1, 2))
    assert statistics.vjp_backward < statistics.evaluations_forward


@ON_ADAPTIVE
def test_the_adjoint_differentiates_what_it_evaluates(backend, method):
    config = AdaptiveSolver(
        method=method, rtol=1e-3, atol=1e-3, gradient="adjoint", backend=backend
    )
    vector_field = decay()
    statistics = run(vector_field, config)
    assert statistics.evaluations_backward == statistics.vjp_backward > 0
    assert statistics.evaluations_forward + statistics.evaluations_backward == vector_field.calls
    backprop = run(decay(), config.model_copy(update={"gradient": "backprop"}))
    assert statistics.steps == backprop.steps


@pytest.mark.parametrize("gradient", get_args(Gradient))
@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_without_gradients_there_is_no_backward_cost(method, gradient):
    statistics = SolveStatistics()
    state, config = torch.ones(2, dtype=torch.float64), make_solver(method, gradient=gradient)
    with torch.no_grad():
        solve(decay(), state, config, t1=1.0, statistics=statistics)
    assert statistics.evaluations_forward > 0
    assert statistics.evaluations_backward == statistics.vjp_backward == 0


@ON_BOTH
@pytest.mark.parametrize("gradient", ["backprop", "adjoint"])
def test_a_constant_vector_field_counts_no_differentiation(backend, gradient):
    """It returns a leaf of the graph, shared by all evaluations."""

    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.slope = nn.Parameter(torch.tensor([3.0, 4.0], dtype=torch.float64))

        def forward(self, t: float | Tensor, x: Tensor) -> Tensor:
            return self.slope

    vector_field = Constant()
    config = FixedGridSolver(method="euler", steps=2, gradient=gradient, backend=backend)
    statistics = run(vector_field, config)
    assert vector_field.slope.grad.tolist() == pytest.approx([1, 1])
    assert statistics.evaluations_forward == 2
    assert statistics.vjp_backward == 0


def test_counts_accumulate_until_reset():
    config = FixedGridSolver(method="midpoint", steps=3)
    statistics = run(decay(), config)
    once = statistics + SolveStatistics()
    run(decay(), config, statistics=statistics)
    assert statistics == once + once
    statistics.reset()
    assert statistics == SolveStatistics()
    assert once != SolveStatistics()


@ON_BOTH
@pytest.mark.parametrize("method", [*get_args(FixedGridMethod), *get_args(AdaptiveMethod)])
def test_a_solve_stops_at_max_evaluations(backend, method):
    vector_field = decay(30.0)
    backend = None if method in UNSUPPORTED[backend] else backend
    config = make_solver(method, steps=20, max_evaluations=11, backend=backend)
    with pytest.raises(SolveFailed, match=r"forward.*max_evaluations=11 .*raise solver.max_eval"):
        run(vector_field, config)
    assert vector_field.calls == 11


def test_a_solve_may_use_all_of_max_evaluations():
    run(decay(), FixedGridSolver(method="rk4", steps=5, max_evaluations=20, gradient="adjoint"))


def test_the_bound_applies_to_the_forward_and_each_backward_pass_separately():
    config = FixedGridSolver(method="euler", steps=6, max_evaluations=6, gradient="adjoint")
    statistics = SolveStatistics()
    state = torch.ones(1, dtype=torch.float64, requires_grad=True)
    total = solve(decay(), state, config, t1=1.0, statistics=statistics).sum()
    total.backward(retain_graph=True)
    total.backward()
    assert statistics.evaluations_forward == 6
    assert statistics.evaluations_backward == statistics.vjp_backward == 12


def test_an_adjoint_beyond_max_evaluations_fails_in_backward():
    """x = e^(−6t) needs fewer steps than its adjoint, which grows backward in time."""
    config = AdaptiveSolver(method="dopri5", rtol=1e-5, atol=1e-5, gradient="adjoint")
    needed = run(decay(6.0), config)
    assert needed.evaluations_backward > needed.evaluations_forward
    config = config.model_copy(update={"max_evaluations": needed.evaluations_forward})
    state = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    end = solution(decay(6.0), state, config)
    with pytest.raises(SolveFailed, match="a backward solve must finish within"):
        end.sum().backward()


@ON_ADAPTIVE
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_exploding_solution_fails_within_max_evaluations(backend, method, dtype):
    """With an underflow, an overflow or too many evaluations, by method and precision."""
    config = AdaptiveSolver(
        method=method, rtol=1e-2, atol=1e-2, max_evaluations=5_000, backend=backend
    )
    statistics = SolveStatistics()
    state = torch.tensor([10.0], dtype=dtype)
    with pytest.raises(SolveFailed, match="lower the learning rate"), torch.no_grad():
        solve(Field(explosion), state, config, t1=1.0, statistics=statistics)
    assert statistics.evaluations_forward <= 5_000


@ON_BOTH
def test_step_size_underflow_names_the_remedy(backend):
    config = AdaptiveSolver(method="dopri5", max_evaluations=100_000, backend=backend)
    with pytest.raises(SolveFailed, match=r"underflowed.*t=0\.5.*learning rate") as failure:
        run(Field(explosion), config)
    assert "\n" not in str(failure.value)


@ON_BOTH
@pytest.mark.parametrize("time", [0.0, 0.4])
def test_a_non_finite_vector_field_fails_an_adaptive_solve(backend, time):
    nan_after = Field(lambda t, x, rate: -x if t < time else torch.full_like(x, torch.nan))
    with pytest.raises(SolveFailed, match="function returned inf or nan.*learning rate"):
        run(nan_after, AdaptiveSolver(backend=backend))


@ON_BOTH
@pytest.mark.parametrize("value", [torch.inf, torch.nan])
def test_a_non_finite_state_fails_an_adaptive_solve(backend, value):
    with pytest.raises(SolveFailed, match="state contains inf or nan"):
        solution(decay(), torch.tensor([1.0, value]), AdaptiveSolver(backend=backend))


def test_a_final_state_that_overflows_fails():
    """Although all slopes are finite."""
    config = AdaptiveSolver(method="adaptive_heun", first_step=1.0)
    large = Field(lambda t, x, rate: torch.full_like(x, 3e38))
    with pytest.raises(SolveFailed):
        solution(large, torch.tensor([3e38]), config)


@ON_BOTH
@pytest.mark.parametrize(
    ("bound", "message"),
    [({"max_steps": 5}, "max_steps=5 .*raise solver.max_steps"),
     ({"min_step": 0.05}, "min_step=0.05.*lower solver.min_step")],
)  # fmt: skip
@pytest.mark.parametrize("gradient", ["backprop", "adjoint"])
def test_every_bound_on_steps_fails_with_its_remedy(backend, gradient, bound, message):
    config = AdaptiveSolver(rtol=1e-6, atol=1e-6, gradient=gradient, backend=backend, **bound)
    with pytest.raises(SolveFailed, match=message) as failure:
        run(decay(30.0), config)
    assert "\n" not in str(failure.value)


def test_the_last_step_may_be_shorter_than_min_step():
    statistics = run(decay(), AdaptiveSolver(min_step=0.3, first_step=0.9), t1=1.0)
    assert statistics.steps == 2


def test_on_a_fixed_grid_a_non_finite_state_propagates_to_the_result():
    state = torch.tensor([torch.nan, 1.0], dtype=torch.float64)
    end = solution(decay(), state, FixedGridSolver())
    assert end[0].isnan()
    assert end[1].isfinite()


@ON_BOTH
def test_a_failure_inside_the_adjoint_is_raised_as_such(backend):
    """The derivative of √|x| at x = 0 is nan."""
    root = Field(lambda t, x, rate: x.abs().sqrt())
    state = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    end = solution(root, state, AdaptiveSolver(gradient="adjoint", backend=backend))
    with pytest.raises(SolveFailed, match="backward pass"):
        end.sum().backward()


def test_an_assertion_error_of_the_ode_function_is_not_converted():
    def broken(t: Tensor, x: Tensor, rate: Tensor) -> Tensor:
        raise AssertionError("underflow in my own code")

    with pytest.raises(AssertionError, match="my own code"):
        run(Field(broken), AdaptiveSolver())
