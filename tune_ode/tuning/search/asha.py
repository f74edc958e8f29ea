"""Early stopping by asynchronous successive halving (ASHA, Li et al. 2020, arXiv:1810.05934).

The rungs are equal seconds of training, or equal epochs. A trial that reaches a rung is compared
with the trials recorded there before, and stopped unless it is among the best third. A trial that
ends earlier stands at all later rungs with its final value. The decisions are a pure function of
the sequence of reports, so replaying the reports of a run restores them after any interruption.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import Literal, Self

from tune_ode.records import Report

SchedulerName = Literal["seconds", "epochs", "none"]

REDUCTION = 3
"""One trial in three passes a rung; the authors of ASHA and Hyperband recommend 3 or 4."""
FIRST_RUNG_SECONDS = 1.0
"""Earliest rung: the first second of a trial is cheap and not informative."""
MAX_RUNGS = 3
"""Down to 1/32 of the budget: earlier, warm-ups and high initial learning rates look bad."""
EPOCH_RUNGS = tuple(REDUCTION**power for power in range(9))
"""1, 3, 9, … 6561: there is no common budget, since the number of epochs is searched."""


def rung_seconds(budget: float) -> tuple[float, ...]:
    """Return the rungs of a budget of `train_seconds`, from a second up.

    They are half a decade apart, a factor of 3.16, so that they are instants of the report grid.
    """
    rungs = (budget * 10 ** (-power / 2) for power in range(MAX_RUNGS, 0, -1))
    return tuple(rung for rung in rungs if rung >= FIRST_RUNG_SECONDS)


class AshaScheduler:
    """Decides which trials to stop, from the values recorded at each rung."""

    def __init__(
        self, rungs: Sequence[float], *, unit: Literal["seconds", "epochs"] = "seconds"
    ) -> None:
        """Create a scheduler with rungs in increasing order and no values recorded."""
        self._rungs = tuple(rungs)
        self._unit = unit
        self._best: dict[str, float] = {}
        self.records: list[dict[str, float]] = [{} for _ in rungs]
        """For each rung: trial → its best validation accuracy there."""
        self._sorted: list[list[float]] = [[] for _ in rungs]
        """For each rung, its values in increasing order."""

    @classmethod
    def create(cls, scheduler: SchedulerName, trial_seconds: float | None) -> Self:
        """Return a scheduler by name.

        Args:
            scheduler: unit of the rungs; `none` stops no trial.
            trial_seconds: budget of a trial, for rungs in seconds.
        """
        if scheduler == "epochs":
            return cls(EPOCH_RUNGS, unit="epochs")
        if scheduler == "seconds" and trial_seconds is not None:
            return cls(rung_seconds(trial_seconds))
        return cls(())

    def on_report(self, report: Report, *, last: bool = False) -> str | None:
        """Record a report, in order of arrival; return why its trial is to stop, or None.

        Args:
            report: of a trial.
            last: whether the trial ends with it; if so, it is recorded but not stopped.
        """
        if report.val_accuracy is None:
            return None
        best = max(self._best.get(report.trial_id, 0.0), report.val_accuracy)
        self._best[report.trial_id] = best
        in_seconds = self._unit == "seconds"
        instant = report.train_seconds if in_seconds else report.epoch
        rung = self.should_stop(report.trial_id, instant, best)
        if last:
            for later in self._rungs[bisect.bisect_right(self._rungs, instant) :]:
                self.should_stop(report.trial_id, later, best)
        if rung is None or last:
            return None
        where = f"{rung:.3g} s of training" if in_seconds else f"epoch {rung:g}"
        return f"not among the best third at {where}"

    def should_stop(self, trial_id: str, instant: float, value: float) -> float | None:
        """Record a trial at the highest rung it has reached; return that rung if it is to stop.

        A trial is recorded at most once per rung, and never at lower rungs later: a trial whose
        first report is late is compared at its current rung only.

        Args:
            trial_id: the trial.
            instant: seconds or epochs trained, in the unit of the rungs.
            value: its best validation accuracy so far.
        """
        index = bisect.bisect_right(self._rungs, instant) - 1
        if index < 0 or trial_id in self.records[index]:
            return None
        self.records[index][trial_id] = value
        values = self._sorted[index]
        bisect.insort(values, value)
        if len(values) < REDUCTION:
            return None  # too few to compare with
        places = math.ceil(len(values) / REDUCTION)
        better = len(values) - bisect.bisect_right(values, value)
        return None if better < places else self._rungs[index]
