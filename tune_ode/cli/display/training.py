"""Display of a single training: a progress bar and one line per report."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tune_ode.cli.display.style import WARNING
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
        self._console.print(
            "[dim] epoch   seconds   loss     train    validation   NFE fwd/bwd[/dim]"
        )
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
                    self._console.print(_row(report), highlight=False)
                    if not self._starved and (line := starvation(report)):
                        self._starved = True
                        self._console.print(line, style=WARNING, highlight=False)

    def print(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def on_batch(self, epoch: float) -> None:
        """Advance the bar."""
        self._progress.update(self._task, completed=epoch)


def _row(report: Report) -> str:
    return (
        f"{report.epoch:6g}  {report.train_seconds:8.1f}   {_number(report.train_loss)}   "
        f"{_number(report.train_accuracy)}   {_number(report.val_accuracy)}       "
        f"{report.nfe_forward:.1f}/{report.nfe_backward:.1f}"
    )


def _number(value: float | None) -> str:
    return "  -   " if value is None else f"{value:.4f}"
