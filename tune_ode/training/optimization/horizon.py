"""Horizon of a training: a schedule ends with the budget if that ends before the epochs.

A schedule that is cut off wastes its budget: the learning rate is still high at the end ("Budgeted
Training", Li, Yumer and Ramanan, ICLR 2020, arXiv:1905.04753).
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator

from tune_ode.errors import SolveFailed

_TIMED_STEPS = 5


def batches_within(
    budget: float, steps: Iterator[object], now: Callable[[], float], *, most: int
) -> int:
    """Return how many training steps fit into a budget, by the fastest of the first few.

    Other programs only slow a step down, and a horizon that is too short would end the training
    with budget left. No more steps are timed than it takes to see that all batches fit. A failed
    solve is ignored: the training itself will report it.

    Args:
        budget: seconds of training.
        steps: takes one training step for each item.
        now: monotonic clock in seconds.
        most: batches of all epochs, the result if they fit.
    """
    seconds: list[float] = []
    start = now()
    with contextlib.suppress(SolveFailed):
        for _ in itertools.islice(steps, _TIMED_STEPS):
            seconds.append(now() - start)
            start += seconds[-1]
            if most * seconds[-1] <= budget:
                return most
    return max(1, int(budget / min(seconds))) if seconds else most
