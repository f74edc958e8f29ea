"""Early stopping by asynchronous successive halving (Li et al. 2020, ASHA).

Rungs stand at equal seconds of training, or at equal epochs. A trial that crosses a rung is
compared with what earlier trials had reached when they crossed it, and stopped unless it is among
the best `1/reduction` of them. The decisions are a pure function of the sequence of report lines,
so replaying a run's lines restores them after any interruption.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import Literal, Self

from tune_ode.records import Report

SchedulerName = Literal["seconds", "epochs", "none"]

REDUCTION = 3
"""One trial in three passes a rung: the rate ASHA's and Hyperband's authors recommend with 4."""
FIRST_RUNG_SECONDS = 1.0
"""Nothing is compared before: a trial's first second says little and costs little."""
MAX_RUNGS = 3
"""Down to 1/27 of the budget: earlier still, warm-ups and high first rates look like failures."""
EPOCH_RUNGS = tuple(REDUCTION**power for power in range(9))
"""1, 3, 9, … 6561: epochs have no common budget, each trial's number of them being searched."""


def rung_seconds(budget: float, *, reduction: int = REDUCTION) -> tuple[float, ...]:
    """Return the rungs below a budget of training seconds, rising: its 27th, 9th and 3rd part.

    Args:
        budget: `train_seconds` a trial may use.
        reduction: ratio of neighbouring rungs, and of trials to trials that pass.
    """
    rungs = (budget / reduction**power for power in range(MAX_RUNGS, 0, -1))
    return tuple(rung for rung in rungs if rung >= FIRST_RUNG_SECONDS)


class AshaScheduler:
    """The record of who had reached what at each rung."""

    def __init__(
        self,
        instants: Sequence[float],
        *,
        unit: Literal["seconds", "epochs"] = "seconds",
        reduction: int = REDUCTION,
    ) -> None:
        """Take the rungs' instants, rising, in a unit."""
        self._instants = tuple(instants)
        self._unit = unit
        self._reduction = reduction
        self.records: list[dict[str, float]] = [{} for _ in instants]
        """For each rung: trial → the value it was recorded with."""
        self._values: list[list[float]] = [[] for _ in instants]
        """For each rung, its values in order: thousands of trials may stand there."""

    @classmethod
    def create(cls, scheduler: SchedulerName, trial_seconds: float | None) -> Self:
        """Return the rungs of a scheduler, none recorded yet.

        Args:
            scheduler: `seconds`, `epochs`, or `none`, which stops no trial.
            trial_seconds: budget of a trial, which the rungs in seconds are parts of.
        """
        if scheduler == "epochs":
            return cls(EPOCH_RUNGS, unit="epochs")
        if scheduler == "seconds" and trial_seconds is not None:
            return cls(rung_seconds(trial_seconds))
        return cls(())

    @property
    def milestones(self) -> tuple[float, ...]:
        """`train_seconds` at which trials must report; the ends of epochs they report anyway."""
        return self._instants if self._unit == "seconds" else ()

    def on_report(self, line: Report, best: float) -> str | None:
        """Take a report line into the record.

        Args:
            line: one more, in the order of their arrival.
            best: its trial's best validation accuracy so far.

        Returns:
            Why the trial is to be stopped there, or None where it goes on.
        """
        seconds = self._unit == "seconds"
        rung = self.should_stop(line.trial_id, line.train_seconds if seconds else line.epoch, best)
        if rung is None:
            return None
        place = f"{rung:.3g} s of training" if seconds else f"epoch {rung:g}"
        return f"not among the best third at {place}"

    def should_stop(self, trial_id: str, instant: float, value: float) -> float | None:
        """Record a trial at the highest rung it has crossed; return that rung if it ends there.

        A rung is recorded once a trial and never backfilled: a trial whose first report comes late
        is compared at the rung it stands at, not given its later value at the lower ones.

        Args:
            trial_id: the trial.
            instant: how far it is, in the unit of the rungs.
            value: its best validation accuracy so far.

        Returns:
            The rung's instant where the trial is to be stopped, else None.
        """
        crossed = [rung for rung, at in enumerate(self._instants) if at <= instant]
        if not crossed or trial_id in self.records[crossed[-1]]:
            return None
        recorded = self.records[crossed[-1]]
        recorded[trial_id] = value
        values = self._values[crossed[-1]]
        bisect.insort(values, value)
        if len(recorded) < self._reduction:
            return None  # too few to compare with
        # how many places among the recorded, this trial counted, are the best 1/reduction
        places = math.ceil(len(recorded) / self._reduction)
        better = len(values) - bisect.bisect_right(values, value)
        return None if better < places else self._instants[crossed[-1]]
