"""The tolerance of the adjoint does not depend on the scale of the loss."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchdiffeq import odeint_adjoint

from tests.tune_ode.solvers.cases import Network, states
from tune_ode.config import AdaptiveSolver, FixedGridSolver
from tune_ode.errors import SolveFailed
from tune_ode.solvers import SolveStatistics, solve
from tune_ode.solvers.control import adjoint_scale

ADJOINTS = pytest.mark.parametrize("gradient", ["adjoint", "adjoint_seminorm"])
BACKENDS = pytest.mark.parametrize("backend", ["native", "torchdiffeq"])
T1 = 1.3


def gradients(config, factor=1.0):
    """Return the gradients of a mean loss times a factor, divided by it, and the counts."""
    vector_field, state, statistics = Network(), states(), SolveStatistics()
    end = solve(vector_field, state, config, t1=T1, statistics=statistics)
    (factor * end.square().mean()).backward()
    found = [state.grad, *(parameter.grad for parameter in vector_field.parameters())]
    return torch.cat([(gradient / factor).flatten() for gradient in found]), statistics


@pytest.mark.parametrize(
    ("backend", "method"),
    [("native", "bosh3"), ("native", "dopri5"), ("native", "tsit5"), ("torchdiffeq", "dopri5")],
)
@ADJOINTS
@pytest.mark.parametrize("factor", [1e-6, 1e-120, -1e6])
def test_the_scale_of_the_loss_changes_neither_evaluations_nor_error(
    backend, method, gradient, factor
):
    """In double precision; 1e-120 squared is below the smallest number."""
    fields = {"method": method, "rtol": 1e-4, "atol": 1e-4, "backend": backend}
    config = AdaptiveSolver(gradient=gradient, **fields)
    expected, counts = gradients(config)
    found, scaled_counts = gradients(config, factor)
    assert scaled_counts == counts
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    exact, _ = gradients(FixedGridSolver(method="rk4", steps=100))
    assert (found - exact).norm() < 3e-3 * exact.norm()


@ADJOINTS
def test_an_absolute_tolerance_binds_whatever_the_scale_of_the_loss(gradient):
    """Without the scale, a loss of 1e-6 hides every error below `atol`."""
    errors = []
    exact, _ = gradients(FixedGridSolver(method="rk4", steps=100))
    for tolerance in (1e-2, 1e-4, 1e-6):
        config = AdaptiveSolver(
            rtol=1e-9, atol=1e-9, adjoint_rtol=tolerance, adjoint_atol=tolerance, gradient=gradient
        )
        found, _ = gradients(config, 1e-6)
        errors.append((found - exact).norm() / exact.norm())
    assert errors[1] < errors[0] / 10
    assert errors[2] < errors[1] / 10


@ADJOINTS
@BACKENDS
def test_a_unit_gradient_is_solved_as_by_torchdiffeq(gradient, backend):
    """The scale is then 1: the same steps, with the tolerances in torchdiffeq's sense."""
    unit = torch.ones_like(states()).neg_()
    config = AdaptiveSolver(rtol=1e-4, atol=1e-6, gradient=gradient, backend=backend)
    ours, state, statistics = Network(), states(), SolveStatistics()
    solve(ours, state, config, t1=T1, statistics=statistics).backward(unit)
    theirs, their_state = Network(), states()
    times = torch.tensor([0.0, T1], dtype=torch.float64)
    options = {"step_t": times[1:]}
    adjoint_options = {"step_t": times[:1]}
    if gradient == "adjoint_seminorm":
        adjoint_options["norm"] = "seminorm"
    odeint_adjoint(
        theirs, their_state, times, rtol=1e-4, atol=1e-6, method="dopri5", options=options,
        adjoint_options=adjoint_options,
    )[-1].backward(unit)  # fmt: skip
    torch.testing.assert_close(state.grad, their_state.grad, rtol=1e-10, atol=1e-10)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-10, atol=1e-10)


@ADJOINTS
@BACKENDS
def test_a_zero_gradient_gives_zeros(gradient, backend):
    vector_field, state = Network(), states()
    config = AdaptiveSolver(gradient=gradient, backend=backend)
    end = solve(vector_field, state, config, t1=T1, statistics=SolveStatistics())
    (0 * end.sum()).backward()
    for tensor in (state, *vector_field.parameters()):
        assert not tensor.grad.any()


@ADJOINTS
@BACKENDS
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_fails_the_solve(gradient, backend, value):
    config = AdaptiveSolver(gradient=gradient, backend=backend)
    end = solve(Network(), states(), config, t1=T1, statistics=SolveStatistics())
    cotangent = torch.zeros_like(end)
    cotangent[0, 0] = value
    with pytest.raises(SolveFailed, match="the state contains inf or nan"):
        end.backward(cotangent)


@settings(max_examples=50, deadline=None)
@given(
    numbers=st.lists(st.integers(-9, 9), min_size=1, max_size=9).filter(any),
    exponent=st.integers(-36, 37),
)
def test_the_scale_is_the_root_mean_square_in_single_precision(numbers, exponent):
    exact = torch.tensor(numbers, dtype=torch.float64) * 10.0**exponent
    expected = exact.square().mean().sqrt().item()
    assert adjoint_scale(exact.float()).item() == pytest.approx(expected, rel=1e-5)
