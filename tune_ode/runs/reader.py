"""What a run folder tells whoever did not write it: its manifest and the trials that ended."""

from __future__ import annotations

from collections.abc import Iterator

from tune_ode import records
from tune_ode.paths import RunPath, map_io
from tune_ode.records import Outcome, Report, RunManifest, TrialResult, TrialSpec
from tune_ode.runs.folder import not_a_run_error


def manifest_of(run: RunPath) -> RunManifest:
    """Return a run's manifest.

    Raises:
        RunFolderError: no run is there.
    """
    try:
        return RunManifest.from_json(records.read_json(run / records.MANIFEST) or {})
    except TypeError:
        raise not_a_run_error(run) from None


def trials_of(run: RunPath) -> Iterator[tuple[TrialSpec, Outcome, list[Report]]]:
    """Yield the trials that have ended, by id, each with its report lines."""
    there: Iterator[RunPath] = (run / records.TRIALS).iterdir()
    folders = sorted(there, key=lambda folder: folder.name)
    for trial in map_io(_trial, folders, where=run):
        if trial is not None:
            yield trial


def _trial(folder: RunPath) -> tuple[TrialSpec, Outcome, list[Report]] | None:
    try:
        setup = TrialSpec.from_json(records.read_json(folder / records.CONFIG) or {})
        outcome = TrialResult.from_json(records.read_json(folder / records.OUTCOME) or {})
    except TypeError:
        return None  # it has not ended, or never began
    lines = records.dedupe_by_epoch(records.read_reports(folder / records.REPORTS))
    return setup, Outcome(outcome.outcome), lines
