"""Step-size control of the adaptive methods: error norms, first and next step size, bounds.

Norms are computed on the device; the decisions from them on the host.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from tune_ode.config import AdaptiveSolver
from tune_ode.errors import SolveFailed
from tune_ode.solvers.runge_kutta import State, VectorFieldFunction, combine

SAFETY = 0.9
LARGEST_GROWTH = 10.0
SMALLEST_GROWTH = 0.2


def largest_rms(tensors: Sequence[Tensor]) -> Tensor:
    """Return the largest root mean square of the tensors."""
    return torch.stack([tensor.square().mean().sqrt() for tensor in tensors]).amax()


def adjoint_scale(gradient: Tensor) -> Tensor:
    """Return the root mean square of ∂L/∂x(T), shape (); 1 if it is zero or not finite.

    Under a mean loss it is near 1e-5, below any absolute tolerance. Does not synchronize with the
    device.

    >>> [adjoint_scale(torch.tensor(a)).item() for a in ([3.0, -3.0], [0.0], [1.0, torch.inf])]
    [3.0, 1.0, 1.0]
    """
    largest = gradient.abs().amax()  # divided by it first: squares of small numbers underflow
    return (largest * (gradient / largest).square().mean().sqrt()).nan_to_num(nan=1.0)


@torch.no_grad()
def error_ratio(
    stages: list[State],
    weights: Sequence[float],
    dt: float,
    before: State,
    after: State,
    config: AdaptiveSolver,
) -> float:
    """Return the estimated error of a step in units of atol + rtol · max(|x|, |x'|).

    A ratio of at most 1 is within the tolerance (Hairer, Nørsett & Wanner 1993, II.4). It is not
    finite if the error or the new state is not. This is the only device synchronization of an
    attempted step.

    Args:
        stages: derivatives of the step.
        weights: error weights of the method.
        dt: step size.
        before: leading tensors of the state whose error is controlled, at the start of the step.
        after: state at the end of the step.
        config: tolerances.
    """
    ratios = []
    for index, (x, x_next) in enumerate(zip(before, after, strict=False)):
        derivatives = [(stage[index],) for stage in stages]
        (error,) = combine((torch.zeros_like(x),), derivatives, weights, dt)
        tolerance = (
            torch.maximum(x.abs(), x_next.abs()).mul_(config.rtol).add_(config.absolute_tolerance)
        )
        # an infinite state has an infinite tolerance: adding 0 · inf makes the ratio nan
        ratios.append(error.div_(tolerance).add_(tolerance.mean(), alpha=0.0))
    return largest_rms(ratios).item()


def next_step_size(
    config: AdaptiveSolver, order: int, dt: float, ratio: float, previous_ratio: float | None
) -> float:
    """Return the step size to try after a step with a known error ratio.

    Args:
        config: `step_control` selects the rule. `integral` aims at a ratio of 1 from the last
            error; `pi` also uses the error before (Gustafsson 1991; Hairer & Wanner 1996, IV.2,
            with exponents 0.7 and 0.4 divided by the order).
        order: order of the method.
        dt: size of the step.
        ratio: error of the step in units of the tolerance; at most 1 if it was accepted.
        previous_ratio: ratio of the previous accepted step, if any.
    """
    if not ratio < float("inf"):
        return dt * SMALLEST_GROWTH  # the step overflowed
    accepted = ratio <= 1
    if config.step_control == "pi" and accepted and ratio > 0 and previous_ratio is not None:
        factor = SAFETY * ratio ** (-0.7 / order) * max(previous_ratio, 1e-4) ** (0.4 / order)
        return dt * min(LARGEST_GROWTH, max(SMALLEST_GROWTH, float(factor)))
    # an accepted step is never followed by a shorter one
    smallest = dt * (1.0 if ratio < 1 else SMALLEST_GROWTH)
    return max(smallest, optimal_step_size(order, dt, ratio))


def optimal_step_size(order: int, dt: float, ratio: float) -> float:
    """Return the step size that would have had the target error.

    Args:
        order: order of the method.
        dt: size of the step taken.
        ratio: its error in units of the tolerance; finite.
    """
    growth = LARGEST_GROWTH if ratio == 0 else float(SAFETY * ratio ** (-1 / order))
    return dt * min(LARGEST_GROWTH, growth)


def even_step_size(dt: float, span: float) -> float:
    """Return a step size near `dt` that divides the interval: at most a tenth larger.

    It avoids a short last step, which costs as much as a full one.

    >>> even_step_size(0.95, 1.0), even_step_size(0.45, 1.0), even_step_size(3.0, 1.0)
    (1.0, 0.3333333333333333, 1.0)
    """
    return span / max(1, math.ceil(span / dt - 0.1))


@torch.no_grad()
def initial_step_size(
    vector_field: VectorFieldFunction,
    config: AdaptiveSolver,
    order: int,
    t0: float,
    direction: float,
    state: State,
    k1: State,
    *,
    coupled: int,
    controlled: int,
) -> float:
    """Estimate the first step size (Hairer, Nørsett & Wanner 1993, II.4).

    Costs one evaluation and one device synchronization.

    Args:
        vector_field: derivatives.
        config: tolerances.
        order: order of the method.
        t0: initial time.
        direction: 1, or −1 to integrate backward.
        state: state at `t0`.
        k1: derivatives at `t0`.
        coupled: number of leading tensors of the state that the vector field depends on.
        controlled: number of leading tensors that must keep the tolerance.
    """
    scales = [x.abs().mul_(config.rtol).add_(config.absolute_tolerance) for x in state[:controlled]]
    size = largest_rms([x / scale for x, scale in zip(state, scales, strict=False)])
    slope = largest_rms([k / scale for k, scale in zip(k1, scales, strict=False)])
    guess = torch.where((size < 1e-5) | (slope < 1e-5), 1e-6, 0.01 * size / slope)
    probe = [x + direction * guess * k for x, k in zip(state[:coupled], k1, strict=False)]
    k2 = vector_field(t0 + direction * guess, tuple(probe))
    differences = [(b - a) / scale for b, a, scale in zip(k2, k1, scales, strict=False)]
    steepest = torch.maximum(slope, largest_rms(differences) / guess)
    better = torch.where(
        steepest <= 1e-15, (guess * 1e-3).clamp(min=1e-6), (0.01 / steepest) ** (1 / order)
    )
    return torch.minimum(100 * guess, better).item()


Phase = Literal["forward", "backward"]


_EASIER = (
    "loosen solver.rtol and solver.atol, lower the learning rate, add weight decay, or choose a "
    "smooth model.ode.activation"
)


def check_step(
    config: AdaptiveSolver,
    phase: Phase,
    *,
    t: float,
    dt: float,
    remaining: float,
    attempts: int,
    overflowed: bool,
    state: tuple[Tensor, ...],
) -> None:
    """Raise unless the next step keeps every bound.

    Args:
        config: bounds.
        phase: forward or backward pass, for the error.
        t: time at the start of the step.
        dt: |h| that the step control chose.
        remaining: |t1 − t|; a final step shorter than `min_step` is allowed.
        attempts: steps attempted so far, including this one.
        overflowed: whether the last attempt produced a non-finite value.
        state: inspected (which synchronizes with the device) only for the error.

    Raises:
        SolveFailed: the first bound that is violated.
    """
    advances = t + dt != t and math.isfinite(dt)
    too_short = dt < config.min_step and dt < remaining
    if advances and not too_short and attempts <= config.max_steps:
        return
    at = f"{config.method}, {phase} pass, t={t:.3g}"
    if overflowed or not math.isfinite(dt):
        finite = all(bool(tensor.isfinite().all()) for tensor in state)
        found = "the ODE function returned" if finite else "the state contains"
        raise SolveFailed(
            f"an adaptive solve needs finite values, but {found} inf or nan ({at}); lower "
            "the learning rate, use training.gradient_clip, or use model.ode.normalization"
        )
    if attempts > config.max_steps:
        raise SolveFailed(
            f"an adaptive solve must finish within solver.max_steps={config.max_steps} attempted "
            f"steps ({at}); {_EASIER}, or raise solver.max_steps"
        )
    if advances:
        raise SolveFailed(
            f"an adaptive solve must not need a step below solver.min_step={config.min_step:g}, "
            f"but the next would be {dt:.3g} ({at}); {_EASIER}, or lower solver.min_step"
        )
    raise SolveFailed(
        "an adaptive solve must advance with every step, but the step size underflowed "
        f"(dt={dt:.3g}, {at}); {_EASIER}"
    )
