"""Read the ended trials of a run without opening it for writing."""

from __future__ import annotations

from collections.abc import Iterator

from tune_ode import records
from tune_ode.paths import RunPath, map_io
from tune_ode.records import Outcome, Report, TrialResult, TrialSpec


def read_ended_trials(run: RunPath) -> Iterator[tuple[TrialSpec, Outcome, list[Report]]]:
    """Yield the spec, outcome and reports of each trial that has ended, by trial id.

    A trial that the end of its search cut off counts as interrupted.
    """
    trials: Iterator[RunPath] = (run / records.TRIALS).iterdir()
    for trial in map_io(_read_trial, sorted(trials, key=lambda path: path.name), where=run):
        if trial is not None:
            yield trial


def _read_trial(path: RunPath) -> tuple[TrialSpec, Outcome, list[Report]] | None:
    try:
        spec = TrialSpec.from_json(records.read_json(path / records.CONFIG) or {})
        result = TrialResult.from_json(records.read_json(path / records.OUTCOME) or {})
    except TypeError:
        return None  # not ended, or never started
    reports = records.dedupe_by_epoch(records.read_reports(path / records.REPORTS))
    return spec, Outcome.INTERRUPTED if result.can_resume else Outcome(result.outcome), reports
