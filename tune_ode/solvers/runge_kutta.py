"""The one explicit Runge–Kutta step that every native method takes, over any tableau."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tune_ode.solvers.tableaux import Tableau

State = tuple[Tensor, ...]
"""What is integrated. The first tensors are coupled: the field depends on them. Any others are
quadratures, whose derivatives depend on the coupled ones alone."""
VectorFieldFunction = Callable[[float | Tensor, State], State]
"""f(t, coupled tensors of the state) → the derivatives of the whole state."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step's result."""

    state: State
    """At the step's end."""
    stages: list[State]
    """Derivatives at the method's nodes."""


def runge_kutta_step(
    field: VectorFieldFunction,
    tableau: Tableau,
    start: float,
    end: float,
    length: float,
    state: State,
    *,
    coupled: int = 1,
    first: State | None = None,
    hand_on: bool = True,
) -> Step:
    """Take one step; differentiable, and without a read from the device.

    Args:
        field: the derivatives.
        tableau: the method.
        start: t at the step's start.
        end: t at its end, given since `start + length` may round to something else.
        length: h, negative where time runs backward.
        state: at the start.
        coupled: how many of the state's tensors the field depends on.
        first: the first stage, where it is known.
        hand_on: whether a last stage at the new state is wanted: the next step's first.
    """
    stages = [field(start, state[:coupled]) if first is None else first]
    moved = state[:coupled]
    for node, row in zip(tableau.nodes[1:], tableau.matrix[1:], strict=True):
        moved = combine(state[:coupled], stages, row, length)
        if tableau.first_same_as_last and not hand_on and len(stages) == tableau.stages - 1:
            break
        stages.append(field(end if node == 1 else start + node * length, moved))
    if tableau.first_same_as_last:
        # the last row led to the new state already; what is not coupled still has to move
        rest = combine(state[coupled:], stages, tableau.weights, length, coupled)
        return Step(moved + rest, stages)
    return Step(combine(state, stages, tableau.weights, length), stages)


def combine(
    state: State, stages: Sequence[State], row: Sequence[float], length: float, place: int = 0
) -> State:
    """Return x + h Σ_j w_j k_j for each tensor x of the state.

    Args:
        state: the tensors x.
        stages: derivatives k_j; a state of lower precision moves by them in its own.
        row: weights w_j, at most as many as stages.
        length: h.
        place: where x's derivative stands in each stage, for the first x.
    """
    return tuple(
        _moved(x, [stage[index] for stage in stages], row, length)
        for index, x in enumerate(state, start=place)
    )


def _moved(x: Tensor, derivatives: list[Tensor], row: Sequence[float], length: float) -> Tensor:
    moved = None
    for derivative, weight in zip(derivatives, row, strict=False):
        if weight == 0:
            continue
        # one new tensor, then in place: autograd keeps none of the sums
        if moved is None:
            moved = torch.add(x, derivative, alpha=weight * length)
        else:
            moved.add_(derivative, alpha=weight * length)
    return x if moved is None else moved
