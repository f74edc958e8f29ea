"""Bounds of an adaptive solve; the error for each names the option and the remedy."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from tune_ode.config import AdaptiveSolver
from tune_ode.errors import SolveFailed

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
