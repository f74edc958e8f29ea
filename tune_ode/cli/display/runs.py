"""Print a listing of runs in the terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_ode.catalog.listing import UNREADABLE, RunSummary
from tune_ode.text import format_duration

_STYLES = {
    "running": "cyan", "interrupted": "magenta", "killed": "magenta", UNREADABLE: "red",
}  # fmt: skip
_WIDE = 110
"""Terminal columns for all columns of the table."""
_RIGHT = {"trials", "size"}
_DAY = 86400.0


def print_runs(runs: Sequence[RunSummary], console: Console) -> None:
    """Print a table of runs, and why some cannot be read."""
    headings = ["run", "state", "data", "space", "trials", "best", "started", "size"]
    if console.width < _WIDE:  # a default name has the data and the space
        headings = [name for name in headings if name not in {"space", "size"}]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(
            heading,
            justify="right" if heading in _RIGHT else "left",
            overflow="fold",
            no_wrap=heading != "run",
        )
    for run in runs:
        cells = _cells(run)
        table.add_row(*(cells[heading] for heading in headings))
    console.print(table)
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
