"""Display of a confirmation or comparison: a live panel, or lines without a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tune_ode.cli.display.terminal import WARNING
from tune_ode.records import DEFAULT, Outcome, starvation
from tune_ode.replication.runner import ReplicationRunner, RunningTraining
from tune_ode.text import format_clock

_PRINT_SECONDS = 10.0
"""Interval of progress lines without a terminal."""


class ReplicationDisplay:
    """A context manager around a confirmation or comparison, which calls `watch` at its start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._runner: ReplicationRunner | None = None
        self._printed: RunningTraining | None = None
        self._starved: RunningTraining | None = None
        """The last training that was reported as starved."""
        self._last_print = time.monotonic()
        self._live = Live(
            console=console, get_renderable=self._panel, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def watch(self, runner: ReplicationRunner) -> Callable[[], None]:
        """Show a run; return the function to call after every event."""
        self._runner = runner
        runner.say = self._print
        return lambda: self._tick(runner)

    def _tick(self, runner: ReplicationRunner) -> None:
        """Print a line if a training has ended or, without a terminal, once in a while."""
        running = runner.running
        reports = running.reports if running is not None and running is not self._starved else []
        if running is not None and reports and (line := starvation(reports[-1])):
            self._starved = running
            self._print(f"{_name(running)}: {line}")
        last = runner.last_training
        if last is not None and last is not self._printed:
            self._printed = last
            self._print(f"{_result(runner, last)}  [{_summary(runner)}]")
        elif (
            not self._console.is_terminal
            and runner.running is not None
            and time.monotonic() - self._last_print > _PRINT_SECONDS
        ):
            self._print(f"{_progress(runner.running)}  [{_summary(runner)}]")

    def _print(self, text: str) -> None:
        self._last_print = time.monotonic()
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _panel(self) -> Group:
        runner = self._runner
        if runner is None:
            return Group()
        done, total, running = runner.finished, runner.total, runner.running
        since_start = len(runner.results)
        left = runner.elapsed() / since_start * (total - done) if since_start else None
        share = 0.0 if running is None else min(running.epoch / running.epochs, 1.0)
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=total, completed=done + share, width=40),
            f"{done}/{total} trainings",
            format_clock(runner.elapsed()),
            "" if left is None else f"{format_clock(left)} left",
        )
        if runner.interrupted:
            text = Text("stopping; saving checkpoints …", style=WARNING)
        else:
            text = Text(_progress(running) if running else "", overflow="ellipsis", no_wrap=True)
        return Group(bar, text)


def _progress(training: RunningTraining) -> str:
    name = _name(training)
    if training.evaluating:
        return f"{name}: trained, evaluating on the test set and with other solvers"
    if not training.reports and not training.epoch:
        return f"{name}: starting its process"
    text = f"{name}: epoch {training.epoch:.3g} of {training.epochs}"
    if training.reports:
        last = training.reports[-1]
        accuracy = "-" if last.val_accuracy is None else f"{last.val_accuracy:.4f}"
        text += f", {last.train_seconds:.1f} s, validation accuracy {accuracy}"
    return text


def _result(runner: ReplicationRunner, training: RunningTraining) -> str:
    result = runner.results[training.spec.trial_id]
    text = f"{_name(training)} {result.outcome}"
    accuracy = training.reports[-1].test_accuracy if training.reports else None
    if training.confirmation is not None:
        accuracy = training.confirmation.test_accuracy
    if accuracy is not None and result.outcome is Outcome.COMPLETED:
        return f"{text}: test accuracy {accuracy:.4f}"
    return f"{text}: {result.reason}" if result.reason else text


def _summary(runner: ReplicationRunner) -> str:
    return f"{runner.finished}/{runner.total} trainings, {format_clock(runner.elapsed())}"


def _name(training: RunningTraining) -> str:
    name = training.confirms
    if name == DEFAULT:
        name = "the default configuration"
    elif name.isdigit():
        name = f"trial {name}"
    return f"{name} with seed {training.seed_number}"
