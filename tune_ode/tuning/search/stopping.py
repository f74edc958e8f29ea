"""Rules that end a search before its last trial."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from tune_ode.records import Outcome, TrialResult
from tune_ode.text import pluralize
from tune_ode.tuning.search.limits import Budget

MAX_INITIAL_FAILURES = 5
"""A search ends if this many trials, its first ones, all fail for the same reason before anything
was measured: the rest would too, since the first of them is the default configuration."""
_FAILURES = (Outcome.FAILED, Outcome.OUT_OF_MEMORY, Outcome.DIVERGED)

BestTrial = tuple[float, str]
"""Highest validation accuracy so far and the trial that reached it."""


class Improvement:
    """Counts finished trials since the last one that improved on all before it.

    With several objectives, a trial improves if no earlier one is at least as good in all of them.
    Nothing is counted before the first trial with values.
    """

    def __init__(self, directions: Sequence[str]) -> None:
        self._signs = [1.0 if direction == "maximize" else -1.0 for direction in directions]
        self._front: list[list[float]] = []
        self.trials_since = 0

    def add(self, values: Sequence[float] | None) -> None:
        """Add a finished trial, in order of its end; values are None if nothing was measured."""
        if values is None:
            self.trials_since += bool(self._front)
            return
        point = [sign * value for sign, value in zip(self._signs, values, strict=True)]
        if any(_at_least(other, point) for other in self._front):
            self.trials_since += 1
        else:
            self._front = [other for other in self._front if not _at_least(point, other)] + [point]
            self.trials_since = 0


def _at_least(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True))


def result_reached(
    budget: Budget, target: BestTrial | None, improvement: Improvement
) -> str | None:
    """Return why the search has the result that it was to find, or None.

    Args:
        budget: limits of the search.
        target: the trial that reached the target accuracy, if any.
        improvement: of the objective.
    """
    if target is not None:
        return f"trial {target[1]} reached a validation accuracy of {target[0]:.4f}"
    if budget.patience is not None and improvement.trials_since >= budget.patience:
        trials = pluralize(improvement.trials_since, "trial")
        return f"the objective has not improved for {trials}"
    return None


def limit_reached(
    budget: Budget, target: BestTrial | None, improvement: Improvement, gpu_seconds: float
) -> str | None:
    """Return the limit, reached for good, that also ends a resumed search; None if there is none.

    Args:
        budget: limits of the search.
        target: the trial that reached the target accuracy, if any.
        improvement: of the objective.
        gpu_seconds: GPUs × wall-clock seconds that trials have used.
    """
    if budget.gpu_seconds is not None and gpu_seconds >= budget.gpu_seconds:
        return "the GPU hours are used up"
    return result_reached(budget, target, improvement)


def out_of_time(
    budget: Budget, seconds: float, start_seconds: float | None, best: BestTrial | None
) -> str | None:
    """Return that the time budget is used up, and by what if nothing was measured; else None.

    Args:
        budget: limits of the search.
        seconds: since the search was started or resumed.
        start_seconds: from then until its first trial had a process; None if none has.
        best: highest validation accuracy so far.
    """
    if budget.seconds is None or seconds < budget.seconds:
        return None
    reason = "the time budget is used up"
    if start_seconds is None:
        return f"{reason}: no trial had started after {seconds:.0f} s; raise --time-budget"
    if best is None:
        took = f"starting took {start_seconds:.0f} s of {seconds:.0f} s"
        return f"{reason} before an accuracy was measured: {took}; raise --time-budget"
    return reason


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
