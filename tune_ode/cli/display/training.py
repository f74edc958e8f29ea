"""What a person sees of one training: a bar over its epochs and a line an epoch."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tune_ode.config import TrialConfig
from tune_ode.records import Report
from tune_ode.tuning.search.search import Search


class TrainingDisplay:
    """Draws a search of one trial; a context manager around its run."""

    def __init__(self, search: Search, config: TrialConfig, console: Console) -> None:
        self._search = search
        self._console = console
        self._epochs = config.training.epochs
        self._told = -1.0
        self._progress = Progress(
            TextColumn("epoch {task.completed:.1f}/{task.total:.0f}"),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=self._epochs)

    def __enter__(self) -> Self:
        self._console.print(
            "[dim] epoch   seconds   loss     train    validation   NFE fwd/bwd[/dim]"
        )
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def tick(self) -> None:
        """Print the lines that are new."""
        for trial in list(self._search.running.values()):
            for line in trial.reports:
                if line.epoch > self._told:
                    self._told = line.epoch
                    self._console.print(_line(line), highlight=False)

    def advance(self, epoch: float) -> None:
        """Move the bar; called after every batch."""
        self._progress.update(self._task, completed=epoch)


def _line(line: Report) -> str:
    return (
        f"{line.epoch:6g}  {line.train_seconds:8.1f}   {_number(line.train_loss)}   "
        f"{_number(line.train_accuracy)}   {_number(line.val_accuracy)}       "
        f"{line.nfe_forward:.1f}/{line.nfe_backward:.1f}"
    )


def _number(value: float | None) -> str:
    return "  -   " if value is None else f"{value:.4f}"
