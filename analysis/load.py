"""A run folder → tidy tables: one row a trial, one row a report line."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import pandas as pd

from tune_ode import records
from tune_ode.errors import RunFolderError
from tune_ode.records import Outcome, ReportLine, RunManifest, TrialOutcome, TrialSetup

RUNNING = "running"
"""Outcome of a trial that has none yet."""

_TRIAL_COLUMNS = (
    "trial_id", "outcome", "reason", "attempt", "values", "created", "started", "ended", "params",
    "config",
)  # fmt: skip
_LINE_COLUMNS = tuple(field.name for field in dataclasses.fields(ReportLine))
_TEXT_COLUMNS = {"trial_id", "device", "node"}


@dataclass(frozen=True)
class Run:
    """A run as read from its folder, finished or still going."""

    folder: Path
    manifest: RunManifest
    trials: pd.DataFrame
    """One row a trial, by id: `trial_id, outcome` (`running` while it has none), `reason, attempt,
    values, created, started, ended` (Unix seconds), `params` and `config` (dicts)."""
    lines: pd.DataFrame
    """One row a trial and epoch: the fields of `ReportLine`, the last attempt's where an epoch was
    reported twice, in the order of trials and epochs; what is null in the file is NaN."""

    @property
    def budget(self) -> float:
        """Training seconds a trial could use; where nothing limits them, the most that one used."""
        longest = self.lines["train_seconds"].max()
        return self.manifest.trial_seconds or (float(longest) if longest > 0 else 1.0)


def load_run(folder: Path) -> Run:
    """Read a run folder, tolerant of a run still going and of what a crash leaves behind.

    Raises:
        RunFolderError: there is no run, or it cannot be read.
    """
    manifest = _manifest(folder / records.MANIFEST)
    trials: list[dict[str, object]] = []
    lines: list[ReportLine] = []
    for trial in _trial_folders(folder / records.TRIALS):
        try:
            if (setup := records.read_json(trial / records.CONFIG)) is None:
                continue  # killed before it began
            reported = records.latest_lines(records.read_lines(trial / records.REPORTS))
            attempt = max((line.attempt for line in reported), default=1)
            outcome = _outcome(records.read_json(trial / records.OUTCOME), attempt)
            trials.append(_row(TrialSetup.from_json(setup), attempt, outcome))
            lines += reported
        except OSError as error:
            raise RunFolderError(f"cannot read {error.filename}: {error.strerror}") from None
        except TypeError:  # entries are missing, or no numbers where there should be some
            raise RunFolderError(f"trial {trial} is damaged; restore it or move it away") from None
    table = pd.DataFrame(map(attrgetter(*_LINE_COLUMNS), lines), columns=list(_LINE_COLUMNS))
    for name in table.columns.difference(list(_TEXT_COLUMNS)):
        table[name] = pd.to_numeric(table[name], errors="coerce")
    return Run(folder, manifest, pd.DataFrame(trials, columns=list(_TRIAL_COLUMNS)), table)


def _manifest(path: Path) -> RunManifest:
    try:
        values = records.read_json(path)
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror}; give a run's folder") from None
    if values is None:
        raise RunFolderError(
            f"{path.parent} is no run folder: it has no readable {path.name}; a search makes "
            "them in its --output, by default runs/"
        )
    written, known = values.get("schema_version", 0), records.SCHEMA_VERSION
    if isinstance(written, int) and written > known:
        raise RunFolderError(
            f"{path} has schema version {written}, this tune-ode reads up to {known}; update it"
        )
    try:
        return RunManifest.from_json(values)
    except TypeError:  # entries are missing
        raise RunFolderError(
            f"{path} is damaged: it lacks entries that every run has; restore it from a copy"
        ) from None


def _trial_folders(trials: Path) -> list[Path]:
    if not trials.is_dir():
        return []
    # by number: 10000 follows 9999
    return sorted((path for path in trials.iterdir() if path.name.isdecimal()), key=_number)


def _number(path: Path) -> int:
    return int(path.name)


def _outcome(values: dict[str, Any] | None, attempt: int) -> TrialOutcome | None:
    """How a trial ended; None where it runs, or runs again: an earlier attempt's end is no end."""
    try:
        ending = TrialOutcome.from_json(values or {})
        ending = dataclasses.replace(ending, outcome=Outcome(ending.outcome))
    except (TypeError, ValueError):
        return None
    return ending if ending.attempt >= attempt else None


def _row(setup: TrialSetup, attempt: int, ending: TrialOutcome | None) -> dict[str, object]:
    row: dict[str, object] = {
        "trial_id": setup.trial_id,
        "created": setup.created,
        "params": setup.params,
        "config": setup.config,
        "outcome": RUNNING,
        "reason": "",
        "attempt": attempt,
    }
    if ending is not None:
        ended = ("reason", "attempt", "values", "started", "ended")
        row |= {name: getattr(ending, name) for name in ended}
        row["outcome"] = ending.outcome.value
    return row
