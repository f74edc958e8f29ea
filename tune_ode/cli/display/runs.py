"""Print a listing of runs in the terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from tune_ode.catalog.listing import UNREADABLE, RunSummary
from tune_ode.cli.display.terminal import Column, fit, table_of
from tune_ode.text import format_duration

_STYLES = {
    "running": "cyan", "interrupted": "magenta", "killed": "magenta", UNREADABLE: "red",
}  # fmt: skip
_SACRIFICES = ("space", "size", "data", "started", "trials", "best", "state")
"""Columns that a narrow terminal leaves out, first those that a default name has."""
_RIGHT = {"trials", "size"}
_DAY = 86400.0


def print_runs(runs: Sequence[RunSummary], console: Console) -> None:
    """Print a table of runs, without columns that do not fit, and why some cannot be read."""
    rows = [_cells(run) for run in runs]
    headings = ("run", "state", "data", "space", "trials", "best", "started", "size")
    columns = {
        heading: Column(heading, [row[heading] for row in rows], left=heading not in _RIGHT)
        for heading in headings
    }
    console.print(table_of(fit(columns, console.width, _SACRIFICES)))
    for run in runs:
        if run.error is not None:
            print(f"{run.name}: {run.error}")


def _cells(run: RunSummary) -> dict[str, Text]:
    ended = "" if run.ended == run.trials else f"{run.ended}/"
    best = ""
    if run.best_accuracy is not None and run.best_seconds is not None:
        best = f"{run.best_accuracy:.4f} in {format_duration(run.best_seconds)}"
    return {
        "run": Text(run.name),
        "state": Text(run.state, style=_STYLES.get(run.state, "")),
        "data": Text((run.dataset or "").rstrip("/").rpartition("/")[2]),
        "space": Text((run.space or run.command or "").rpartition("/")[2]),
        "trials": Text("" if run.trials is None else f"{ended}{run.trials}"),
        "best": Text(best),
        "started": Text("" if run.created is None else _when(run.created)),
        "size": Text("" if run.size_bytes is None else _size(run.size_bytes)),
    }


def _when(created: float) -> str:
    """Return the time of the last day, the day of the last months, or else the month."""
    age = time.time() - created
    form = "%H:%M" if age < _DAY else "%d %b" if age < 300 * _DAY else "%Y-%m"
    return time.strftime(form, time.localtime(created))


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
