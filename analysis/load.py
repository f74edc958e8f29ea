"""A run folder → tidy tables: one row a trial, one row a report line."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tune_ode import records
from tune_ode.errors import RunFolderError
from tune_ode.records import ReportLine, RunManifest, TrialOutcome, TrialSetup

RUNNING = "running"
"""Outcome of a trial that has none yet."""

_TRIAL_COLUMNS = (
    "trial_id", "outcome", "reason", "attempt", "value", "created", "started", "ended", "params",
    "config",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A run as read from its folder, finished or still going."""

    folder: Path
    manifest: RunManifest
    trials: pd.DataFrame
    """One row a trial, by id: `trial_id, outcome` (`running` while it has none), `reason, attempt,
    value, created, started, ended` (Unix seconds), `params` and `config` (dicts)."""
    lines: pd.DataFrame
    """One row a trial and epoch: the fields of `ReportLine`, the last attempt's where an epoch was
    reported twice, in the order of trials and epochs."""

    @property
    def budget(self) -> float:
        """Training seconds a trial could use; where nothing limits them, the most that one used."""
        if self.manifest.trial_seconds is not None:
            return self.manifest.trial_seconds
        return float(self.lines["train_seconds"].max()) if len(self.lines) else 1.0

    def curve(self, trial_id: str) -> pd.DataFrame:
        """Return a trial's lines that measured a validation accuracy."""
        lines = self.lines
        return lines[(lines["trial_id"] == trial_id) & lines["val_accuracy"].notna()]


def load_run(folder: Path) -> Run:
    """Read a run folder, tolerant of a run still going and of what a crash leaves behind.

    Raises:
        RunFolderError: there is no run.
    """
    manifest = records.read_json(folder / records.MANIFEST)
    if manifest is None:
        raise RunFolderError(
            f"{folder} is no run folder: it has no readable {records.MANIFEST}; a search makes "
            "them in its --output, by default runs/"
        )
    trials: list[dict[str, object]] = []
    lines: list[ReportLine] = []
    for trial in _trial_folders(folder):
        setup = records.read_json(trial / records.CONFIG)
        if setup is None:
            continue
        trials.append(_row(TrialSetup.from_json(setup), records.read_json(trial / records.OUTCOME)))
        lines += records.latest_lines(records.read_lines(trial / records.REPORTS))
    columns = [field.name for field in dataclasses.fields(ReportLine)]
    return Run(
        folder=folder,
        manifest=RunManifest.from_json(manifest),
        trials=pd.DataFrame(trials, columns=list(_TRIAL_COLUMNS)),
        lines=pd.DataFrame([line.to_json() for line in lines], columns=columns),
    )


def _trial_folders(folder: Path) -> list[Path]:
    trials = folder / records.TRIALS
    if not trials.is_dir():
        return []
    return sorted(path for path in trials.iterdir() if path.name.isdigit())


def _row(setup: TrialSetup, outcome: dict[str, object] | None) -> dict[str, object]:
    row: dict[str, object] = {
        "trial_id": setup.trial_id,
        "created": setup.created,
        "params": setup.params,
        "config": setup.config,
        "outcome": RUNNING,
        "reason": "",
    }
    if outcome is not None:
        ending = TrialOutcome.from_json(outcome)
        row |= {
            name: getattr(ending, name)
            for name in ("outcome", "reason", "attempt", "value", "started", "ended")
        }
    return row
