"""Load a run directory into tables: one row per trial, one row per report."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.contention import with_isolated_seconds
from tune_ode import records
from tune_ode.errors import RunFolderError
from tune_ode.paths import RunPath, map_io, run_path
from tune_ode.records import Outcome, Report, RunManifest, TrialResult, TrialSpec
from tune_ode.remote_path import RemotePath

RUNNING = "running"
"""Outcome of a trial that has not ended."""

_TRIAL_COLUMNS = (
    "trial_id", "outcome", "reason", "attempt", "created", "started", "ended", "params", "config",
    "confirms",
)  # fmt: skip
_TEXTS = ("device", "node", "execution_mode")
_NUMBERS = tuple(
    field.name for field in dataclasses.fields(Report) if field.name not in {"trial_id", *_TEXTS}
)
_ALL_NUMBERS = itemgetter(*_NUMBERS)
_EPOCH, _ATTEMPT = _NUMBERS.index("epoch"), _NUMBERS.index("attempt")

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """A loaded run, finished or still running."""

    folder: RunPath
    manifest: RunManifest
    trials: pd.DataFrame
    """One row per trial, by id: `trial_id, outcome` (`running` until it ends), `reason, attempt,
    created, started, ended` (Unix seconds; NaN while it runs), `params` and `config` (dicts),
    `confirms` (the trial that it repeats; None in a search)."""
    reports: pd.DataFrame
    """One row per trial and epoch, in that order: `trial` (row of `trials`), the fields of
    `records.Report`, and those of `with_isolated_seconds`. If an epoch was reported twice, the last
    report counts. Null and missing values are NaN."""

    @property
    def budget(self) -> float:
        """Training seconds that a trial may use; without a limit, the most that any used."""
        longest = self.reports["train_seconds"].max()
        return self.manifest.trial_seconds or (float(longest) if longest > 0 else 1.0)

    def config(self, trial_id: str) -> dict[str, Any]:
        """Return a trial's configuration."""
        return dict(self.trials.loc[self.trials["trial_id"] == trial_id, "config"].iloc[0])


def load_run(folder: str | Path | RemotePath) -> Run:
    """Load a run directory; the run may still be going on or have crashed.

    Args:
        folder: a path, or a URL that `pyarrow.fs` supports, such as `s3://bucket/run`.

    Raises:
        RunFolderError: not a run directory, or it cannot be read.
    """
    folder = run_path(folder)
    manifest = records.read_manifest(folder)
    trials: list[dict[str, object]] = []
    reports = _ReportTable()
    folders = _trial_folders(folder / records.TRIALS)
    for trial, read in zip(folders, map_io(_read, folders, where=folder), strict=True):
        spec, rows, result = read
        if spec is None:
            continue  # killed before its configuration was written
        try:
            attempt = reports.add(len(trials), trial.name, rows)
            end = _parse_result(result, attempt)
            trials.append(_row(trial.name, TrialSpec.from_json(spec), attempt, end))
        except TypeError:  # fields are missing
            raise RunFolderError(f"trial {trial} is damaged; restore it or move it away") from None
    table = pd.DataFrame(trials, columns=list(_TRIAL_COLUMNS))
    for name in ("created", "started", "ended"):
        table[name] = pd.to_numeric(table[name], errors="coerce").astype(float)
    return Run(folder, manifest, table, with_isolated_seconds(reports.table(), manifest.contention))


class _ReportTable:
    """Reports of all trials, collected as arrays, since a report as a dict takes 2 kB."""

    def __init__(self) -> None:
        self._blocks: list[Numbers] = [np.empty((0, len(_NUMBERS)))]
        self._trials: list[npt.NDArray[np.intp]] = [np.empty(0, dtype=np.intp)]
        self._texts: dict[str, list[str]] = {name: [] for name in ("trial_id", *_TEXTS)}

    def add(self, trial: int, trial_id: str, rows: Sequence[dict[str, Any]]) -> int:
        """Add a trial's reports, the last of each epoch, by epoch; return its last attempt."""
        block = _numbers(rows)
        epochs = block[:, _EPOCH]
        if not (len(epochs) and math.isfinite(epochs[0]) and (np.diff(epochs) > 0).all()):
            last = {epoch: index for index, epoch in enumerate(epochs.tolist())}
            kept = [last[epoch] for epoch in sorted(last) if math.isfinite(epoch)]
            block, rows = block[kept], [rows[index] for index in kept]
        self._blocks.append(block)
        self._trials.append(np.full(len(rows), trial))
        self._texts["trial_id"] += [trial_id] * len(rows)
        for name in _TEXTS:
            self._texts[name] += [sys.intern(str(row.get(name) or "")) for row in rows]
        return int(np.nanmax(block[:, _ATTEMPT], initial=1.0))

    def table(self) -> pd.DataFrame:
        numbers = np.concatenate(self._blocks)
        columns: dict[str, Any] = {"trial": np.concatenate(self._trials)}
        columns |= {name: pd.Series(texts, dtype=str) for name, texts in self._texts.items()}
        columns |= {name: numbers[:, index] for index, name in enumerate(_NUMBERS)}
        return pd.DataFrame(columns)


def _numbers(rows: Sequence[dict[str, Any]]) -> Numbers:
    """Return the numbers of reports; NaN for null, missing and non-finite values."""
    try:
        values = list(map(_ALL_NUMBERS, rows))
    except KeyError:  # fields are missing
        values = [tuple(row.get(name) for name in _NUMBERS) for row in rows]
    try:
        block = np.array(values, dtype=float).reshape(len(rows), len(_NUMBERS))
    except (TypeError, ValueError):  # a string or list in place of a number
        block = np.array([[_number(value) for value in row] for row in values], dtype=float)
    block[~np.isfinite(block)] = math.nan
    return block


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


_Values = dict[str, Any]


def _read(trial: RunPath) -> tuple[_Values | None, list[_Values], _Values | None]:
    """Return a trial's specification, reports and result as read from its files."""
    try:
        if (spec := records.read_json(trial / records.CONFIG)) is None:
            return None, [], None
        rows = records.read_rows(trial / records.REPORTS)
        return spec, rows, records.read_json(trial / records.OUTCOME)
    except OSError as error:
        raise RunFolderError(f"cannot read {error.filename}: {error.strerror}") from None


def _trial_folders(trials: RunPath) -> list[RunPath]:
    if not trials.is_dir():
        return []
    folders = [path for path in trials.iterdir() if path.name.isdecimal()]
    return sorted(folders, key=lambda path: int(path.name))  # 10000 after 9999


def _parse_result(values: dict[str, Any] | None, attempt: int) -> TrialResult | None:
    """Return a trial's result; None if it is running, possibly in a later attempt."""
    with contextlib.suppress(TypeError, ValueError):
        result = TrialResult.from_json(values or {})
        result = dataclasses.replace(result, outcome=Outcome(result.outcome))
        return result if result.attempt >= attempt else None
    return None


def _row(
    trial_id: str, spec: TrialSpec, attempt: int, result: TrialResult | None
) -> dict[str, object]:
    row: dict[str, object] = {"trial_id": trial_id, "outcome": RUNNING, "reason": ""}
    row["attempt"] = attempt
    row |= {name: getattr(spec, name) for name in ("created", "params", "config", "confirms")}
    if result is not None:
        row |= {name: getattr(result, name) for name in ("reason", "attempt", "started", "ended")}
        row["outcome"] = result.outcome.value
    return row
