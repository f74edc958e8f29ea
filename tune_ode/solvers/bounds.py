"""The bounds of an adaptive solve; each that is met ends it with its name and the remedy."""

from __future__ import annotations

import math

from torch import Tensor

from tune_ode.config import AdaptiveSolver
from tune_ode.errors import SolveFailed

_EASIER = (
    "loosen solver.rtol and solver.atol, lower the learning rate, add weight decay, or choose a "
    "smooth model.ode.activation"
)


def require_step(
    config: AdaptiveSolver,
    where: str,
    *,
    now: float,
    length: float,
    remaining: float,
    attempts: int,
    overflowed: bool,
    state: tuple[Tensor, ...],
) -> None:
    """Let a solve go on only if its next step keeps every bound.

    Args:
        config: the bounds.
        where: names the pass.
        now: t, where the step begins.
        length: |h| that the step control asks for.
        remaining: |t| left to the end; a shorter step than `min_step` may end the solve.
        attempts: steps tried so far, this one included.
        overflowed: whether the last attempt gave a value that is not finite.
        state: read from the device only if the solve has to end.

    Raises:
        SolveFailed: the first bound that is not kept.
    """
    advances = now + length != now and math.isfinite(length)
    short = length < config.min_step and length < remaining
    if advances and not short and attempts <= config.max_steps:
        return
    at = f"{config.method}, {where} pass, t={now:.3g}"
    if overflowed or not math.isfinite(length):
        finite = all(bool(tensor.isfinite().all()) for tensor in state)
        found = "the ODE function returned" if finite else "the state holds"
        raise SolveFailed(
            f"an adaptive solve needs finite values, but {found} inf or nan ({at}); lower "
            "the learning rate, use training.gradient_clip, or use model.ode.normalization"
        )
    if attempts > config.max_steps:
        raise SolveFailed(
            f"an adaptive solve must end within solver.max_steps={config.max_steps} attempted "
            f"steps ({at}); {_EASIER}, or raise solver.max_steps"
        )
    if advances:
        raise SolveFailed(
            f"an adaptive solve must need no step under solver.min_step={config.min_step:g}, but "
            f"the next would be {length:.3g} ({at}); {_EASIER}, or lower solver.min_step"
        )
    raise SolveFailed(
        "an adaptive solve must advance with every step, but the step size underflowed "
        f"(dt={length:.3g}, {at}); {_EASIER}"
    )
