"""Step-size control of the adaptive methods: error norms, the first step, the next step.

Norms are computed on the device; what is decided from them is host arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tune_ode.config import AdaptiveSolver
from tune_ode.solvers.runge_kutta import State, VectorFieldFunction, combine

SAFETY = 0.9
LARGEST_GROWTH = 10.0
SMALLEST_GROWTH = 0.2


def largest_rms(tensors: Sequence[Tensor]) -> Tensor:
    """Return the largest of the tensors' root mean squares."""
    return torch.stack([tensor.square().mean().sqrt() for tensor in tensors]).amax()


@torch.no_grad()
def error_ratio(
    stages: list[State],
    weights: Sequence[float],
    length: float,
    before: State,
    after: State,
    config: AdaptiveSolver,
) -> float:
    """Return the estimated error of a step in units of atol + rtol · max(|x|, |x'|).

    At most 1 is within the tolerance (Hairer, Nørsett & Wanner 1993, II.4). Not finite where the
    error, or the new state, is not. The one read from the device of an attempted step.

    Args:
        stages: the step's derivatives.
        weights: the method's error weights.
        length: h of the step.
        before: tensors whose error counts, as many of the state's first ones as there are here.
        after: the state at the step's end.
        config: the tolerances.
    """
    ratios = []
    for place, (x, moved) in enumerate(zip(before, after, strict=False)):
        derivatives = [(stage[place],) for stage in stages]
        (error,) = combine((torch.zeros_like(x),), derivatives, weights, length)
        tolerance = torch.maximum(x.abs(), moved.abs()).mul_(config.rtol).add_(config.atol)
        # an infinite state has an infinite tolerance: its share 0 · inf makes the ratio nan
        ratios.append(error.div_(tolerance).add_(tolerance.mean(), alpha=0.0))
    return largest_rms(ratios).item()


def next_step_size(
    config: AdaptiveSolver, order: int, length: float, ratio: float, previous: float | None
) -> float:
    """Return how long a step to try after one whose error ratio is known.

    Args:
        config: `step_control` decides by which rule. `integral` aims at a ratio of 1 from the last
            error alone; `pi` also weighs the error before (Gustafsson 1991; Hairer & Wanner 1996,
            IV.2, with exponents 0.7 and 0.4 over the order).
        order: of the method.
        length: of the step.
        ratio: its error, in units of the tolerance; 1 or less if it was accepted.
        previous: that of the accepted step before it; None if there is none.
    """
    if not ratio < float("inf"):
        return length * SMALLEST_GROWTH  # the trial overflowed: it went too far
    accepted = ratio <= 1
    if config.step_control == "pi" and accepted and ratio > 0 and previous is not None:
        factor = float(SAFETY * ratio ** (-0.7 / order) * max(previous, 1e-4) ** (0.4 / order))
        return length * min(LARGEST_GROWTH, max(SMALLEST_GROWTH, factor))
    suited = optimal_step_size(order, length, ratio)
    # an accepted step is not followed by a shorter one
    return max(length * (1.0 if ratio < 1 else SMALLEST_GROWTH), suited)


def optimal_step_size(order: int, length: float, ratio: float) -> float:
    """Return how long a step would have had the error aimed at, by one whose error is known.

    Args:
        order: of the method.
        length: of the step.
        ratio: its error, in units of the tolerance; finite.
    """
    growth = LARGEST_GROWTH if ratio == 0 else float(SAFETY * ratio ** (-1 / order))
    return length * min(LARGEST_GROWTH, growth)


def even_step_size(length: float, span: float) -> float:
    """Return a step near a given one that divides an interval: at most a tenth of one longer.

    What is left over costs a step as a whole one does.

    >>> even_length(0.95, 1.0), even_length(0.45, 1.0), even_length(3.0, 1.0)
    (1.0, 0.3333333333333333, 1.0)
    """
    return span / max(1, math.ceil(span / length - 0.1))


@torch.no_grad()
def initial_step_size(
    field: VectorFieldFunction,
    config: AdaptiveSolver,
    order: int,
    start: float,
    direction: float,
    state: State,
    first: State,
    *,
    coupled: int,
    measured: int,
) -> float:
    """Return how long a step to try first (Hairer, Nørsett & Wanner 1993, II.4); one evaluation.

    Computed on the device, and read once.

    Args:
        field: the derivatives.
        config: its tolerances.
        order: of the method.
        start: where t begins.
        direction: 1, or −1 where time runs backward.
        state: at the start.
        first: the derivatives there.
        coupled: how many of the state's tensors the field depends on.
        measured: how many of them have a tolerance to keep.
    """
    scales = [x.abs().mul_(config.rtol).add_(config.atol) for x in state[:measured]]
    size = largest_rms([x / scale for x, scale in zip(state, scales, strict=False)])
    slope = largest_rms([k / scale for k, scale in zip(first, scales, strict=False)])
    guess = torch.where((size < 1e-5) | (slope < 1e-5), 1e-6, 0.01 * size / slope)
    probe = [x + direction * guess * k for x, k in zip(state[:coupled], first, strict=False)]
    second = field(start + direction * guess, tuple(probe))
    changes = zip(second, first, scales, strict=False)
    curvature = largest_rms([(k2 - k) / scale for k2, k, scale in changes]) / guess
    steepest = torch.maximum(slope, curvature)
    better = torch.where(
        steepest <= 1e-15, (guess * 1e-3).clamp(min=1e-6), (0.01 / steepest) ** (1 / order)
    )
    return torch.minimum(100 * guess, better).item()
