"""What a run folder tells whoever did not write it: its manifest and the trials that ended."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.place import Place, each
from tune_ode import records
from tune_ode.records import Outcome, ReportLine, RunManifest, TrialOutcome, TrialSetup
from tune_ode.tuning.run_folder import no_run


def manifest_of(run: Place) -> RunManifest:
    """Return a run's manifest.

    Raises:
        RunFolderError: no run is there.
    """
    try:
        return RunManifest.from_json(records.read_json(run / records.MANIFEST) or {})
    except TypeError:
        raise no_run(run) from None


def trials_of(run: Place) -> Iterator[tuple[TrialSetup, Outcome, list[ReportLine]]]:
    """Yield the trials that have ended, by id, each with its report lines."""
    there: Iterator[Place] = (run / records.TRIALS).iterdir()
    folders = sorted(there, key=lambda folder: folder.name)
    for trial in each(_trial, folders, where=run):
        if trial is not None:
            yield trial


def _trial(folder: Place) -> tuple[TrialSetup, Outcome, list[ReportLine]] | None:
    try:
        setup = TrialSetup.from_json(records.read_json(folder / records.CONFIG) or {})
        outcome = TrialOutcome.from_json(records.read_json(folder / records.OUTCOME) or {})
    except TypeError:
        return None  # it has not ended, or never began
    lines = records.latest_lines(records.read_lines(folder / records.REPORTS))
    return setup, Outcome(outcome.outcome), lines
