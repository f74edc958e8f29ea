"""Display of a single training: a progress bar and one line per report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tune_ode.cli.display.terminal import WARNING
from tune_ode.records import Report, starvation
from tune_ode.tuning.display import Display
from tune_ode.tuning.search.search import Search


class TrainingDisplay(Display):
    """Display of a search with one trial."""

    def __init__(self, search: Search, epochs: int, console: Console) -> None:
        self._search = search
        self._console = console
        self._printed_epoch = -1.0
        self._starved = False
        self._headings = _fit(console.width)
        self._progress = Progress(
            TextColumn("epoch {task.completed:.1f}/{task.total:.0f}"),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=epochs)

    def __enter__(self) -> Self:
        self._print_row({heading: heading for heading in self._headings}, "dim")
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def tick(self) -> None:
        """Print new reports."""
        for trial in list(self._search.running.values()):
            for report in trial.reports:
                if report.epoch > self._printed_epoch:
                    self._printed_epoch = report.epoch
                    self._print_row({name: _COLUMNS[name][1](report) for name in self._headings})
                    if not self._starved and (line := starvation(report)):
                        self._starved = True
                        self._console.print(line, style=WARNING, highlight=False)

    def _print_row(self, cells: Mapping[str, str], style: str = "") -> None:
        text = "".join(f"{cell:>{_COLUMNS[name][0]}}" for name, cell in cells.items())
        self._console.print(text, style=style, highlight=False, markup=False)

    def print(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def on_batch(self, epoch: float) -> None:
        """Advance the bar."""
        self._progress.update(self._task, completed=epoch)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


_COLUMNS: Mapping[str, tuple[int, Callable[[Report], str]]] = {
    "epoch": (6, lambda report: f"{report.epoch:g}"),
    "seconds": (9, lambda report: f"{report.train_seconds:.1f}"),
    "loss": (8, lambda report: _number(report.train_loss)),
    "train": (8, lambda report: _number(report.train_accuracy)),
    "validation": (12, lambda report: _number(report.val_accuracy)),
    "NFE fwd/bwd": (
        13, lambda report: f"{report.nfe_forward:.1f}/{report.nfe_backward:.1f}",
    ),
}  # fmt: skip
"""Heading → width and text."""
_SACRIFICES = ("NFE fwd/bwd", "loss", "train")
"""Columns that a narrow terminal leaves out, the first one first."""


def _fit(width: int) -> list[str]:
    """Return the headings that fit; a line that has been printed cannot grow later."""
    shown = list(_COLUMNS)
    for heading in _SACRIFICES:
        if sum(_COLUMNS[name][0] for name in shown) > width:
            shown.remove(heading)
    return shown
