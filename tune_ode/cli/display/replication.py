"""What a person sees of a confirmation or comparison: a live panel, or plain lines."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tune_ode.records import DEFAULT, Outcome
from tune_ode.replication.runner import ReplicationRunner, RunningTraining
from tune_ode.text import format_clock

_PLAIN_SECONDS = 10.0
"""Between two plain lines where nothing ended."""


class ConfirmDisplay:
    """Draws a confirmation; a context manager around its run, whose method `watch` it is given."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._confirming: ReplicationRunner | None = None
        self._told: RunningTraining | None = None
        self._last_line = time.monotonic()
        self._live = Live(
            console=console, get_renderable=self._panel, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def watch(self, confirming: ReplicationRunner) -> Self:
        """Take what to draw; the display is then called after every word."""
        self._confirming = confirming
        return self

    def __call__(self) -> None:
        """Print a line where a training has ended or, without a terminal, some time has passed."""
        confirming = self._confirming
        assert confirming is not None
        if confirming.last is not None and confirming.last is not self._told:
            self._told = confirming.last
            self._print(f"{_ended(confirming, self._told)}  [{_summary(confirming)}]")
        elif (
            not self._console.is_terminal
            and confirming.running is not None
            and time.monotonic() - self._last_line > _PLAIN_SECONDS
        ):
            self._print(f"{_running(confirming.running)}  [{_summary(confirming)}]")

    def _print(self, text: str) -> None:
        self._last_line = time.monotonic()
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _panel(self) -> Group:
        confirming = self._confirming
        if confirming is None:
            return Group()
        done, total = confirming.finished, confirming.total
        here = len(confirming.done)
        left = confirming.elapsed() / here * (total - done) if here else None
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=total, completed=done + _share(confirming.running), width=40),
            f"{done}/{total} trainings",
            format_clock(confirming.elapsed()),
            "" if left is None else f"{format_clock(left)} left",
        )
        if confirming.interrupted:
            line = Text("stopping; saving what runs …", style="bold yellow")
        else:
            running = confirming.running
            line = Text(_running(running) if running else "", overflow="ellipsis", no_wrap=True)
        return Group(bar, line)


def _share(training: RunningTraining | None) -> float:
    return 0.0 if training is None else min(training.epoch / training.epochs, 1.0)


def _running(training: RunningTraining) -> str:
    what = _name(training)
    if training.examined:
        return f"{what} is trained; testing it, solving it otherwise"
    if not training.lines and not training.epoch:
        return f"{what} starts its process"
    text = f"{what} is at epoch {training.epoch:.3g} of {training.epochs}"
    if training.lines:
        last = training.lines[-1]
        accuracy = "-" if last.val_accuracy is None else f"{last.val_accuracy:.4f}"
        text += f", {last.train_seconds:.1f} s, validation accuracy {accuracy}"
    return text


def _ended(confirming: ReplicationRunner, training: RunningTraining) -> str:
    outcome = confirming.done[training.spec.trial_id]
    text = f"{_name(training)} {outcome.outcome}"
    accuracy = training.lines[-1].test_accuracy if training.lines else None
    if training.confirmation is not None:
        accuracy = training.confirmation.test_accuracy
    if accuracy is not None and outcome.outcome is Outcome.COMPLETED:
        return f"{text}: test accuracy {accuracy:.4f}"
    return f"{text}: {outcome.reason}" if outcome.reason else text


def _summary(confirming: ReplicationRunner) -> str:
    return (
        f"{confirming.finished}/{confirming.total} trainings, {format_clock(confirming.elapsed())}"
    )


def _name(training: RunningTraining) -> str:
    what = training.confirms
    if what == DEFAULT:
        what = "the default configuration"
    elif what.isdigit():
        what = f"trial {what}"
    return f"{what} with seed {training.seed_number}"
