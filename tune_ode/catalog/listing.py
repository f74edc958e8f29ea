"""List the runs of a folder: state, data, space, trials, the best one, size."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from tune_ode.catalog.find import is_run, run_paths
from tune_ode.errors import RunFolderError, TuneOdeError, UsageError, first_line
from tune_ode.paths import RunPath, address, map_io, shell_quoted
from tune_ode.records import COMPARE, OUTCOME, REPORT, TRIALS, is_trial_id, read_manifest
from tune_ode.records.access import read_file
from tune_ode.records.record import Fraction, Record, Seconds
from tune_ode.records.values import parse
from tune_ode.runs.open import is_being_written

RUNNING, FINISHED = "running", "finished"
KILLED = "killed"
"""State of a run whose process ended without writing another state."""
UNREADABLE = "unreadable"
_RANKING = f"{REPORT}/ranking.json"
_LIMIT = 2**26
"""Bytes of a ranking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary(Record):
    """A run as one row of a listing."""

    name: str
    run: str
    """Path or URL."""
    state: str
    """As in the manifest, except that a run whose process was killed is not `running`."""
    error: str | None = None
    """Why the run cannot be read; only `size_bytes` is known then."""
    stop_reason: str | None = None
    command: str | None = None
    """`search`, `train` or `compare`."""
    dataset: str | None = None
    space: str | None = None
    trials: int | None = None
    ended: int | None = None
    """Trials that have ended."""
    best_trial: str | None = None
    best_accuracy: float | None = None
    """Validation accuracy of the first trial of the ranking, at `best_seconds`."""
    best_seconds: float | None = None
    created: float | None = None
    """Unix seconds."""
    seconds: float | None = None
    """Wall-clock seconds of the run, over all resumes."""
    size_bytes: int | None = None
    """Of all files."""


def list_runs(folder: RunPath) -> list[RunSummary]:
    """Return the runs directly in a folder, the latest first, then those that cannot be read.

    Raises:
        UsageError: the folder is a run.
        RunFolderError: there is no such folder, or it cannot be read.
    """
    if is_run(folder):
        raise UsageError(f"{folder} is a run; its trials: tune-ode rank {shell_quoted(folder)}")
    if isinstance(folder, Path) and not os.path.isdir(folder):
        raise RunFolderError(f"{folder} is not a folder of runs; searches create runs in runs/")
    summaries = [
        summary for summary in map_io(_summarize, run_paths(folder), where=folder) if summary
    ]
    return sorted(summaries, key=lambda summary: -(summary.created or 0.0))


def _summarize(run: RunPath) -> RunSummary | None:
    """Return the summary of a run; None if the path is not a run."""
    sizes: dict[str, int] = {}
    try:
        if not is_run(run):
            return None
        sizes = _sizes(run)
        return _read(run, sizes)
    except (TuneOdeError, OSError) as error:
        return RunSummary(
            name=run.name, run=address(run), state=UNREADABLE, error=first_line(error),
            size_bytes=sum(sizes.values()) if sizes else None,
        )  # fmt: skip


def _read(run: RunPath, sizes: dict[str, int]) -> RunSummary:
    manifest = read_manifest(run)
    options, state = manifest.options, manifest.state
    if state == RUNNING and not is_being_written(run):
        state = KILLED
    parts = [name.split("/") for name in sizes]
    trials = {part[1] for part in parts if part[0] == TRIALS and is_trial_id(part[1])}
    ended = {part[1] for part in parts if part[0] == TRIALS and part[2:] == [OUTCOME]}
    command = str(options.get("command", "search"))
    best = _Best()
    if ended and command != COMPARE:
        best = _best(run, reported=state == FINISHED and _RANKING in sizes)
    return RunSummary(
        name=run.name,
        run=address(run),
        state=state,
        stop_reason=manifest.stop_reason,
        command=command,
        dataset=_text(options.get("dataset")),
        space=_text(options.get("space")) if command == "search" else None,
        trials=len(trials),
        ended=len(ended),
        best_trial=best.trial_id,
        best_accuracy=best.val_accuracy,
        best_seconds=best.seconds,
        created=manifest.created,
        seconds=manifest.seconds,
        size_bytes=sum(sizes.values()),
    )


@dataclass(frozen=True, kw_only=True)
class _Best(Record):
    """What is shown of the first row of a ranking."""

    trial_id: str | None = None
    val_accuracy: Fraction | None = None
    seconds: Seconds | None = None


def _text(option: object) -> str | None:
    return option if isinstance(option, str) else None


def _best(run: RunPath, *, reported: bool) -> _Best:
    """Return the first row of the ranking, from the report if that is up to date."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        if reported:
            rows = parse(read_file(run / REPORT / "ranking.json", _LIMIT))
            return _Best.from_json(next((row for row in rows if row.get("rank") == 1), {}))
    # pandas takes half a second to import
    from analysis.load import load_run
    from analysis.ranking import rank

    return _Best.from_json(next(iter(rank(load_run(run)).first_rows()), {}))


def _sizes(run: RunPath) -> dict[str, int]:
    """Return relative name → bytes of all files of a run."""
    if not isinstance(run, Path):
        return run.sizes()
    found = {}
    for folder, _, names in os.walk(run):
        for name in names:
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):  # replaced meanwhile
                found[os.path.relpath(path, run)] = os.lstat(path).st_size
    return found
