"""Progress as plain lines on stdout, for scripts and notebooks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tune_ode.paths import RunPath, display_path
from tune_ode.records import Outcome, Report
from tune_ode.replication.runner import ReplicationRunner
from tune_ode.text import format_clock, pluralize
from tune_ode.tuning.display import Display
from tune_ode.tuning.launch import DisplayFactory
from tune_ode.tuning.plan import Plan
from tune_ode.tuning.search.search import Search

OnReport = Callable[[Report], object]
"""Receives each report once it is recorded, in the thread that called the API."""
_PRINT_SECONDS = 10.0
"""Interval of lines while no trial ends."""


class LineDisplay(Display):
    """Prints a line for each trial that ends, and one once in a while."""

    def __init__(self, search: Search, *, progress: bool, on_report: OnReport | None) -> None:
        self._search = search
        self._progress = progress
        self._on_report = on_report
        self._ended = set(search.results)
        self._last_print = time.monotonic()

    def on_report(self, report: Report) -> None:
        """Pass a report to the caller's function."""
        if self._on_report is not None:
            self._on_report(report)

    def tick(self) -> None:
        """Print a line for each trial that has ended."""
        for trial_id in [one for one in self._search.results if one not in self._ended]:
            self._ended.add(trial_id)
            result = self._search.results[trial_id]
            reason = f": {result.reason}" if result.reason else ""
            self.print(f"trial {trial_id} {result.outcome}{reason}  [{self._summary()}]")
        if time.monotonic() - self._last_print > _PRINT_SECONDS:
            self.print(self._summary())

    def print(self, text: str) -> None:
        """Print a line."""
        self._last_print = time.monotonic()
        if self._progress:
            print(text, flush=True)

    @contextmanager
    def status(self, text: str) -> Iterator[None]:
        """Print what is done while no trial runs."""
        self.print(text)
        yield

    def _summary(self) -> str:
        search, total = self._search, self._search.budget.trials
        done = len(search.results)
        parts = [f"{done}/{total} trials" if total else pluralize(done, "trial")]
        parts.append(f"{len(search.running)} running")
        if search.best is not None:
            parts.append(f"best accuracy {search.best[0]:.4f}")
        if search.waiting:
            parts.append(f"waiting for {search.waiting}")
        return ", ".join([*parts, format_clock(search.elapsed())])


def line_display(progress: bool, on_report: OnReport | None) -> DisplayFactory:
    """Return a function that creates the display of a search."""

    def create(search: Search, plan: Plan) -> Display:
        return LineDisplay(search, progress=progress, on_report=on_report)

    return create


def print_start(progress: bool, notes: tuple[str, ...], run: RunPath) -> None:
    """Print the notes of a plan and its run directory."""
    if progress:
        lines = [*(f"note      {note}" for note in notes), f"run       {display_path(run)}"]
        print("\n".join(lines), flush=True)


def watch_lines(progress: bool) -> Callable[[ReplicationRunner], Callable[[], None]]:
    """Return a function that prints a line for each training that ends."""

    def watch(runner: ReplicationRunner) -> Callable[[], None]:
        shown: set[str] = set()

        def on_event() -> None:
            training = runner.last_training
            if not progress or training is None or runner.running is not None:
                return
            result = runner.results[training.spec.trial_id]
            if result.trial_id in shown or result.outcome is Outcome.INTERRUPTED:
                return
            shown.add(result.trial_id)
            reason = f": {result.reason}" if result.reason else ""
            print(
                f"{training.confirms}, seed {training.seed_number}: {result.outcome}{reason}  "
                f"[{runner.finished}/{runner.total} trainings, {format_clock(runner.elapsed())}]",
                flush=True,
            )

        return on_event

    return watch
