"""Read the ended trials of a run without opening it for writing."""

from __future__ import annotations

from collections.abc import Iterator

from tune_ode import records
from tune_ode.paths import RunPath, map_io
from tune_ode.records import Outcome, Report, TrialSpec


def read_ended_trials(run: RunPath) -> Iterator[tuple[TrialSpec, Outcome, list[Report]]]:
    """Yield the spec, outcome and reports of each trial that has ended, by trial id.

    A trial that the end of its search cut off counts as interrupted.
    """
    trials: list[RunPath] = records.trial_paths((run / records.TRIALS).iterdir())
    for trial in map_io(records.read_trial, trials, where=run):
        if trial.spec is not None and trial.result is not None:
            outcome = Outcome.INTERRUPTED if trial.result.can_resume else trial.result.outcome
            yield trial.spec, outcome, records.dedupe_by_epoch(trial.reports)
