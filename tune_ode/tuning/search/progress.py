"""What a search has used and reached, and which of its limits that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tune_ode.records import Report, RunManifest
from tune_ode.text import pluralize
from tune_ode.tuning.search.limits import Budget

TIME_BUDGET, GPU_HOURS = "time budget", "GPU hours"
TARGET, PATIENCE = "target accuracy", "patience"
"""Limits as named in the reason why a search ended; after a colon, the reason may say more."""

INTERRUPTED = "interrupted"
"""Reason of a search that a user or the system ended; without a limit it is to be continued."""

BestTrial = tuple[float, str]
"""Highest validation accuracy so far and the trial that reached it."""


class Progress:
    """Time used, best results and finished trials of a search, compared with its limits."""

    def __init__(
        self,
        budget: Budget,
        directions: Sequence[str],
        manifest: RunManifest,
        clock: Callable[[], float],
        *,
        new_budget: bool,
    ) -> None:
        """Continue the times of a run.

        Args:
            budget: limits of the search.
            directions: of the objective.
            manifest: the run's, with the seconds of earlier starts.
            clock: seconds.
            new_budget: whether the time budget starts now, rather than with the first start.
        """
        self._budget = budget
        self._clock = clock
        self._before = manifest
        self._used_before = 0.0 if new_budget else manifest.budget_seconds_used
        self.started = clock()
        self._start_seconds: float | None = None
        self._proposal_seconds = manifest.proposal_seconds
        self.best: BestTrial | None = None
        self._target: BestTrial | None = None
        self.improvement = Improvement(directions)

    def elapsed(self) -> float:
        """Return seconds since this start of the search."""
        return self._clock() - self.started

    def budget_seconds_used(self) -> float:
        """Return the seconds of the time budget that are used."""
        return self._used_before + self.elapsed()

    def on_start(self) -> None:
        """Record that a trial has a process."""
        if self._start_seconds is None:
            self._start_seconds = self.elapsed()

    @contextmanager
    def proposing(self) -> Iterator[None]:
        """Count the time of the block as that of a proposal."""
        began = self._clock()
        yield
        self._proposal_seconds += self._clock() - began

    def on_report(self, report: Report, validation_images: int | None) -> bool:
        """Count a report; return whether it reaches the target accuracy."""
        accuracy = report.val_accuracy
        if accuracy is not None and (self.best is None or accuracy > self.best[0]):
            self.best = (accuracy, report.trial_id)
        reached = self._budget.reaches_target(report, validation_images)
        if reached:
            self._target = self._target or (accuracy or 0.0, report.trial_id)
        return reached

    def limit_reached(self, gpu_seconds: float) -> str | None:
        """Return the limit that is reached, other than the time budget, or None.

        Args:
            gpu_seconds: GPUs × wall-clock seconds that trials have used.
        """
        budget, since = self._budget, self.improvement.trials_since
        if budget.gpu_seconds is not None and gpu_seconds >= budget.gpu_seconds:
            return GPU_HOURS
        if self._target is not None:
            return f"{TARGET}: trial {self._target[1]} reached {self._target[0]:.4f}"
        if budget.patience is not None and since >= budget.patience:
            return f"{PATIENCE}: no improvement for {pluralize(since, 'trial')}"
        return None

    def out_of_time(self) -> str | None:
        """Return that the time budget is used up, and how if nothing was measured, or None."""
        if self._budget.seconds is None or self.budget_seconds_used() < self._budget.seconds:
            return None
        if self.best is not None:
            return TIME_BUDGET
        elapsed = f"{self.elapsed():.0f} s"
        if self._start_seconds is not None:
            elapsed = f"{self._start_seconds:.0f} s of {elapsed}"
        return f"{TIME_BUDGET}: starting took {elapsed}; raise --time-budget"

    def manifest_fields(self) -> dict[str, Any]:
        """Return the times as fields of `RunManifest`."""
        return {
            "seconds": self._before.seconds + self.elapsed(),
            "budget_seconds_used": self.budget_seconds_used(),
            "start_seconds": self._start_seconds,
            "proposal_seconds": self._proposal_seconds,
        }


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
