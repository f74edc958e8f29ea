"""Load a run directory into tables: one row per trial, one row per report."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.contention import with_isolated_seconds
from tune_ode import records
from tune_ode.errors import RunFolderError
from tune_ode.paths import RunPath, map_io, run_path
from tune_ode.records import Contention, InvalidRecord, Report, RunManifest, TrialResult, TrialSpec
from tune_ode.remote_path import RemotePath
from tune_ode.text import printable, without_controls

_SHOWN = 3
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
_ALL_NUMBERS = attrgetter(*_NUMBERS)
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
    passed_over: list[str] = field(default_factory=list)
    """What is not valid in its files, one line each; with those of its confirmation once that is
    loaded."""

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
    contention, passed_over = _contention(manifest)
    trials: list[dict[str, object]] = []
    reports = _ReportTable()
    folders = _trial_folders(folder / records.TRIALS)
    for read in map_io(records.read_trial, folders, where=folder):
        passed_over += read.passed_over
        if read.spec is None:
            continue  # killed before its configuration was written, or not valid
        attempt = reports.add(len(trials), read.spec.trial_id, read.reports)
        # a trial with a later attempt runs again
        ended = read.result is not None and read.result.attempt >= attempt
        trials.append(_row(read.spec, attempt, read.result if ended else None))
    table = pd.DataFrame(trials, columns=list(_TRIAL_COLUMNS))
    for name in ("created", "started", "ended"):
        table[name] = pd.to_numeric(table[name], errors="coerce").astype(float)
    isolated = with_isolated_seconds(reports.table(), contention)
    manifest = dataclasses.replace(manifest, contention=contention)
    return Run(folder, manifest, table, isolated, passed_over)


def describe_passed_over(runs: Iterable[Run]) -> str | None:
    """Return one line on what is not valid in the files of runs, or None."""
    problems = [problem for run in runs for problem in run.passed_over]
    if not problems:
        return None
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return printable(f"passed over what is not valid: {'; '.join(problems[:_SHOWN])}{more}")


class _ReportTable:
    """Reports of all trials, collected as arrays, since a report as a dict takes 2 kB."""

    def __init__(self) -> None:
        self._blocks: list[Numbers] = [np.empty((0, len(_NUMBERS)))]
        self._trials: list[npt.NDArray[np.intp]] = [np.empty(0, dtype=np.intp)]
        self._texts: dict[str, list[str]] = {name: [] for name in ("trial_id", *_TEXTS)}

    def add(self, trial: int, trial_id: str, rows: Sequence[Report]) -> int:
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
            self._texts[name] += [
                sys.intern(without_controls(getattr(row, name) or "")) for row in rows
            ]
        return int(np.nanmax(block[:, _ATTEMPT], initial=1.0))

    def table(self) -> pd.DataFrame:
        numbers = np.concatenate(self._blocks)
        columns: dict[str, Any] = {"trial": np.concatenate(self._trials)}
        columns |= {name: pd.Series(texts, dtype=str) for name, texts in self._texts.items()}
        columns |= {name: numbers[:, index] for index, name in enumerate(_NUMBERS)}
        return pd.DataFrame(columns)


def _numbers(reports: Sequence[Report]) -> Numbers:
    """Return the numbers of reports; NaN for null."""
    values = list(map(_ALL_NUMBERS, reports))
    return np.array(values, dtype=float).reshape(len(reports), len(_NUMBERS))


def _contention(manifest: RunManifest) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the valid contention records, and a line on each of the others."""
    valid, passed_over = {}, []
    for device, values in manifest.contention.items():
        try:
            valid[device] = Contention.from_json(values).to_json()
        except InvalidRecord as error:
            passed_over.append(f"{records.MANIFEST} (contention of {device}: {error})")
    return valid, passed_over


def _trial_folders(trials: RunPath) -> list[RunPath]:
    try:
        return records.trial_paths(trials.iterdir()) if trials.is_dir() else []
    except OSError as error:
        raise RunFolderError(f"cannot read {trials}: {error.strerror}") from None


def _row(spec: TrialSpec, attempt: int, result: TrialResult | None) -> dict[str, object]:
    row: dict[str, object] = {"outcome": RUNNING, "reason": "", "attempt": attempt}
    names = ("trial_id", "created", "params", "config", "confirms")
    row |= {name: getattr(spec, name) for name in names}
    if result is not None:
        row |= {name: getattr(result, name) for name in ("reason", "attempt", "started", "ended")}
        row["outcome"] = result.outcome.value
    return row
