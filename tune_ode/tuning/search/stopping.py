"""Rules that end a search before its last trial."""

from __future__ import annotations

import re
from collections.abc import Collection

from tune_ode.records import Outcome, TrialResult
from tune_ode.tuning.search.limits import Budget

MAX_INITIAL_FAILURES = 5
"""A search ends if this many trials, its first ones, all fail for the same reason before anything
was measured: the rest would too, since the first of them is the default configuration."""
_FAILURES = (Outcome.FAILED, Outcome.OUT_OF_MEMORY, Outcome.DIVERGED)

BestTrial = tuple[float, str]
"""Highest validation accuracy so far and the trial that reached it."""


def target_reached(budget: Budget, best: BestTrial | None) -> bool:
    """Return whether a trial reached the target accuracy."""
    target = budget.target_accuracy
    return target is not None and best is not None and best[0] >= target


def limit_reached(budget: Budget, best: BestTrial | None, gpu_seconds: float) -> str | None:
    """Return the limit, reached for good, that also ends a resumed search; None if there is none.

    Args:
        budget: limits of the search.
        best: highest validation accuracy so far.
        gpu_seconds: GPUs × wall-clock seconds that trials have used.
    """
    if best is not None and target_reached(budget, best):
        return f"trial {best[1]} reached a validation accuracy of {best[0]:.4f}"
    if budget.gpu_seconds is not None and gpu_seconds >= budget.gpu_seconds:
        return "the GPU hours are used up"
    return None


def common_failure(results: Collection[TrialResult]) -> str | None:
    """Return why the first trials failed if there are `MAX_INITIAL_FAILURES` with one reason."""
    if len(results) != MAX_INITIAL_FAILURES:
        return None
    # reasons that differ in numbers only, such as bytes or epochs, are the same
    reasons = {(result.outcome, re.sub(r"\d[\d.]*", "#", result.reason)) for result in results}
    first = next(iter(results))
    if len(reasons) > 1 or first.outcome not in _FAILURES:
        return None
    return f"the first {len(results)} trials all ended as {first.outcome}: {first.reason}"
