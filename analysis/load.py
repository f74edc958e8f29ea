"""A run folder, or its URL → tidy tables: one row a trial, one row a report line."""

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
"""Outcome of a trial that has none yet."""

_TRIAL_COLUMNS = (
    "trial_id", "outcome", "reason", "attempt", "created", "started", "ended", "params", "config",
    "confirms",
)  # fmt: skip
_TEXTS = ("device", "node")
_NUMBERS = tuple(
    field.name for field in dataclasses.fields(Report) if field.name not in {"trial_id", *_TEXTS}
)
_ALL_NUMBERS = itemgetter(*_NUMBERS)
_EPOCH, _ATTEMPT = _NUMBERS.index("epoch"), _NUMBERS.index("attempt")

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """A run as read from its folder, finished or still going."""

    folder: RunPath
    manifest: RunManifest
    trials: pd.DataFrame
    """One row a trial, by id: `trial_id, outcome` (`running` while it has none), `reason, attempt,
    created, started, ended` (Unix seconds; NaN while it runs), `params` and `config` (dicts),
    `confirms` (the trial that it trains again; None in a search)."""
    lines: pd.DataFrame
    """One row a trial and epoch: `trial` (row of `trials`), the fields of `ReportLine`, the last
    written where an epoch was reported twice, and those of `with_isolated_seconds`; in the order of
    trials and epochs. What is null or missing in the file is NaN."""

    @property
    def budget(self) -> float:
        """Training seconds a trial could use; where nothing limits them, the most that one used."""
        longest = self.lines["train_seconds"].max()
        return self.manifest.trial_seconds or (float(longest) if longest > 0 else 1.0)

    def config(self, trial_id: str) -> dict[str, Any]:
        """Return a trial's whole configuration."""
        return dict(self.trials.loc[self.trials["trial_id"] == trial_id, "config"].iloc[0])


def load_run(folder: str | Path | RemotePath) -> Run:
    """Read a run folder, tolerant of a run still going and of what a crash leaves behind.

    Args:
        folder: its path, or a URL that `pyarrow.fs` knows, such as `s3://bucket/run`.

    Raises:
        RunFolderError: there is no run, or it cannot be read.
    """
    folder = run_path(folder)
    manifest = records.read_manifest(folder)
    trials: list[dict[str, object]] = []
    lines = _Lines()
    folders = _trial_folders(folder / records.TRIALS)
    for trial, read in zip(folders, map_io(_read, folders, where=folder), strict=True):
        setup, rows, ending = read
        if setup is None:
            continue  # killed before it began
        try:
            attempt = lines.add(len(trials), trial.name, rows)
            outcome = _outcome(ending, attempt)
            trials.append(_row(trial.name, TrialSpec.from_json(setup), attempt, outcome))
        except TypeError:  # entries are missing
            raise RunFolderError(f"trial {trial} is damaged; restore it or move it away") from None
    table = pd.DataFrame(trials, columns=list(_TRIAL_COLUMNS))
    for name in ("created", "started", "ended"):
        table[name] = pd.to_numeric(table[name], errors="coerce").astype(float)
    return Run(folder, manifest, table, with_isolated_seconds(lines.table(), manifest.contention))


class _Lines:
    """Report lines as they are read: a block of numbers a trial, and texts beside it.

    As numbers at once, since a line as a dict takes two kilobytes.
    """

    def __init__(self) -> None:
        self._blocks: list[Numbers] = [np.empty((0, len(_NUMBERS)))]
        self._trials: list[npt.NDArray[np.intp]] = [np.empty(0, dtype=np.intp)]
        self._texts: dict[str, list[str]] = {name: [] for name in ("trial_id", *_TEXTS)}

    def add(self, trial: int, trial_id: str, rows: Sequence[dict[str, Any]]) -> int:
        """Take a trial's lines, the last of each epoch, in order; return its last attempt."""
        block = _numbers(rows)
        epochs = block[:, _EPOCH]
        if not (len(epochs) and math.isfinite(epochs[0]) and (np.diff(epochs) > 0).all()):
            last = {epoch: place for place, epoch in enumerate(epochs.tolist())}
            kept = [last[epoch] for epoch in sorted(last) if math.isfinite(epoch)]
            block, rows = block[kept], [rows[place] for place in kept]
        self._blocks.append(block)
        self._trials.append(np.full(len(rows), trial))
        self._texts["trial_id"] += [trial_id] * len(rows)
        for name in _TEXTS:
            self._texts[name] += [sys.intern(str(row.get(name, ""))) for row in rows]
        return int(np.nanmax(block[:, _ATTEMPT], initial=1.0))

    def table(self) -> pd.DataFrame:
        numbers = np.concatenate(self._blocks)
        columns: dict[str, Any] = {"trial": np.concatenate(self._trials)}
        columns |= {name: pd.Series(texts, dtype=str) for name, texts in self._texts.items()}
        columns |= {name: numbers[:, place] for place, name in enumerate(_NUMBERS)}
        return pd.DataFrame(columns)


def _numbers(rows: Sequence[dict[str, Any]]) -> Numbers:
    """Return the numbers of report lines; NaN for what is null, missing or not finite."""
    try:
        values = list(map(_ALL_NUMBERS, rows))
    except KeyError:  # of an older version, say
        values = [tuple(row.get(name) for name in _NUMBERS) for row in rows]
    try:
        block = np.array(values, dtype=float).reshape(len(rows), len(_NUMBERS))
    except (TypeError, ValueError):  # a text or a list where there should be a number
        block = np.array([[_number(value) for value in row] for row in values], dtype=float)
    block[~np.isfinite(block)] = math.nan
    return block


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


_Values = dict[str, Any]


def _read(trial: RunPath) -> tuple[_Values | None, list[_Values], _Values | None]:
    """Return what a trial's files hold: its configuration, its lines, how it ended."""
    try:
        if (setup := records.read_json(trial / records.CONFIG)) is None:
            return None, [], None
        rows = records.read_rows(trial / records.REPORTS)
        return setup, rows, records.read_json(trial / records.OUTCOME)
    except OSError as error:
        raise RunFolderError(f"cannot read {error.filename}: {error.strerror}") from None


def _trial_folders(trials: RunPath) -> list[RunPath]:
    if not trials.is_dir():
        return []
    # by number: 10000 follows 9999
    return sorted((path for path in trials.iterdir() if path.name.isdecimal()), key=_number_of)


def _number_of(path: RunPath) -> int:
    return int(path.name)


def _outcome(values: dict[str, Any] | None, attempt: int) -> TrialResult | None:
    """How a trial ended; None where it runs, or runs again: an earlier attempt's end is no end."""
    with contextlib.suppress(TypeError, ValueError):
        ending = TrialResult.from_json(values or {})
        ending = dataclasses.replace(ending, outcome=Outcome(ending.outcome))
        return ending if ending.attempt >= attempt else None
    return None


def _row(
    trial_id: str, setup: TrialSpec, attempt: int, ending: TrialResult | None
) -> dict[str, object]:
    row: dict[str, object] = {
        "trial_id": trial_id,
        "created": setup.created,
        "params": setup.params,
        "config": setup.config,
        "confirms": setup.confirms,
        "outcome": RUNNING,
        "reason": "",
        "attempt": attempt,
    }
    if ending is not None:
        row |= {name: getattr(ending, name) for name in ("reason", "attempt", "started", "ended")}
        row["outcome"] = ending.outcome.value
    return row
