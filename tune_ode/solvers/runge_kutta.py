"""The explicit Runge–Kutta step shared by all native methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tune_ode.solvers.tableaux import Tableau

State = tuple[Tensor, ...]
"""Integrated tensors. The first are coupled: the vector field depends on them. The others are
quadratures, whose derivatives depend on the coupled tensors only."""
VectorFieldFunction = Callable[[float | Tensor, State], State]
"""f(t, coupled tensors of the state) → derivatives of all tensors of the state."""


@dataclass(frozen=True, slots=True)
class Step:
    """Result of a step."""

    state: State
    """State at the end of the step."""
    stages: list[State]
    """Derivatives at the nodes of the method."""


def runge_kutta_step(
    vector_field: VectorFieldFunction,
    tableau: Tableau,
    t0: float,
    t1: float,
    dt: float,
    state: State,
    *,
    coupled: int = 1,
    k1: State | None = None,
    want_fsal: bool = True,
) -> Step:
    """Take one step; differentiable, and without device synchronization.

    Args:
        vector_field: derivatives.
        tableau: method.
        t0: time at the start of the step.
        t1: time at the end of the step; `t0 + dt` may round to another value.
        dt: step size, negative to integrate backward.
        state: state at `t0`.
        coupled: number of leading tensors of the state that the vector field depends on.
        k1: the first stage, if known.
        want_fsal: whether to evaluate a last stage that is only the first of the next step.
    """
    stages = [vector_field(t0, state[:coupled]) if k1 is None else k1]
    x = state[:coupled]
    for node, row in zip(tableau.nodes[1:], tableau.matrix[1:], strict=True):
        x = combine(state[:coupled], stages, row, dt)
        if tableau.first_same_as_last and not want_fsal and len(stages) == tableau.stages - 1:
            break
        stages.append(vector_field(t1 if node == 1 else t0 + node * dt, x))
    if tableau.first_same_as_last:
        # the last row gave the coupled tensors at t1; only the quadratures are left
        quadratures = combine(state[coupled:], stages, tableau.weights, dt, coupled)
        return Step(x + quadratures, stages)
    return Step(combine(state, stages, tableau.weights, dt), stages)


def combine(
    state: State, stages: Sequence[State], weights: Sequence[float], dt: float, offset: int = 0
) -> State:
    """Return x + dt Σ_j w_j k_j for each tensor x of the state, in the dtype of x.

    Args:
        state: tensors x.
        stages: derivatives k_j.
        weights: w_j; at most one per stage is used.
        dt: step size.
        offset: position in each stage of the derivative of the first x.
    """
    return tuple(
        _add_weighted(x, [stage[index] for stage in stages], weights, dt)
        for index, x in enumerate(state, start=offset)
    )


def _add_weighted(
    x: Tensor, derivatives: list[Tensor], weights: Sequence[float], dt: float
) -> Tensor:
    total = None
    for derivative, weight in zip(derivatives, weights, strict=False):
        if weight == 0:
            continue
        # one new tensor, then in place: autograd does not keep the partial sums
        if total is None:
            total = torch.add(x, derivative, alpha=weight * dt)
        else:
            total.add_(derivative, alpha=weight * dt)
    return x if total is None else total


@dataclass(frozen=True, slots=True)
class TracedStep:
    """Interval and initial state of a step."""

    t0: float
    t1: float
    dt: float
    state: State
    """State at `t0`."""
    k1: State | None
    """First stage, if it was reused from the previous step and differs from f at `state`."""
