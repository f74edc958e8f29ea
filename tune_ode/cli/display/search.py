"""What a person sees of a search while it runs: a live panel, or plain lines without a terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from analysis.params import compact_params
from tune_ode.records import Outcome
from tune_ode.text import format_clock, pluralize
from tune_ode.tuning.search.search import Search
from tune_ode.tuning.search.trials import RunningTrial

_PLAIN_SECONDS = 10.0
"""Between two plain lines where nothing ended."""
_STYLES = {
    Outcome.COMPLETED: "green",
    Outcome.STOPPED: "yellow",
    Outcome.INTERRUPTED: "magenta",
}


class SearchDisplay:
    """Draws a search; a context manager around its run."""

    def __init__(self, search: Search, console: Console) -> None:
        self._search = search
        self._console = console
        self._doing = ""
        self._live = Live(
            console=console, get_renderable=self._panel, refresh_per_second=4, transient=True
        )
        self._told = len(search.results)
        self._last_line = time.monotonic()

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
        else:
            self.tick()

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Tell what is done when no trial runs."""
        self._doing = what
        if not self._console.is_terminal:
            self.say(what)
        try:
            yield
        finally:
            self._doing = ""

    def say(self, line: str) -> None:
        """Print a line, above the panel where there is one; from any thread."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def tick(self) -> None:
        """Print a plain line where a trial has ended, or some time has passed."""
        if self._console.is_terminal:
            return
        ended = list(self._search.results.values())[self._told :]
        for outcome in ended:
            reason = f": {outcome.reason}" if outcome.reason else ""
            self.say(f"trial {outcome.trial_id} {outcome.outcome}{reason}  [{self._summary()}]")
        self._told += len(ended)
        if ended:
            self._last_line = time.monotonic()
        elif time.monotonic() - self._last_line > _PLAIN_SECONDS:
            self._last_line = time.monotonic()
            self.say(self._summary())

    def _panel(self) -> Group:
        # the ^C that a terminal echoes must find room in the last line, or all is shifted by one
        running = Constrain(self._running(), self._console.width - len("^C") - 1)
        return Group(self._headline(), _bar(self._search), self._outcomes(), running)

    def _headline(self) -> Text:
        search = self._search
        line = Text()
        if self._doing:
            line.append(self._doing, style="dim")
            return line
        if search.stop_reason:
            line.append(f"stopping: {search.stop_reason}; saving what runs …", style="bold yellow")
            return line
        if search.waiting:
            line.append(f"waiting for {search.waiting}", style="bold yellow")
        elif search.best is None:
            waiting = "no result yet" if search.running else "starting the workers …"
            line.append(waiting, style="dim")
        else:
            accuracy, trial_id = search.best
            line.append(f"best {accuracy:.4f}", style="bold green")
            line.append(f"  validation accuracy, trial {trial_id}")
        return line

    def _outcomes(self) -> Text:
        counts = Counter(outcome.outcome for outcome in list(self._search.results.values()))
        line = Text()
        for outcome in Outcome:
            if counts[outcome]:
                line.append(f"{counts[outcome]} {outcome}", style=_STYLES.get(outcome, "red"))
                line.append("   ")
        return line

    def _running(self) -> Table:
        some = bool(self._search.running)
        table = Table(box=None, pad_edge=False, header_style="dim", expand=True, show_header=some)
        table.add_column("trial", no_wrap=True)
        for heading in ("epoch", "seconds", "accuracy"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("trying", no_wrap=True, overflow="ellipsis", ratio=1)
        for trial in list(self._search.running.values()):
            table.add_row(*_row(trial))
        return table

    def _summary(self) -> str:
        search = self._search
        best = f"best {search.best[0]:.4f}" if search.best else "no result yet"
        if search.waiting:
            best += f", waiting for {search.waiting}"
        return f"{_trials(search)}, {len(search.running)} running, {best}, {format_clock(search.elapsed())}"


def _bar(search: Search) -> Table:
    elapsed, limit = search.elapsed(), search.budget.seconds
    done, total = len(search.results), search.budget.trials
    by_trials = done / total if total else 0.0
    by_time = elapsed / limit if limit else 0.0
    share = min(max(by_trials, by_time), 1.0)
    # what is left by either measure; the first few trials say little about the rest
    left = [limit - elapsed] if limit else []
    if total and done >= 2:
        left.append(elapsed / done * (total - done))
    remaining = f"{format_clock(max(min(left), 0))} left" if left else ""
    row = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=1.0, completed=share, width=40)
    row.add_row(bar, _trials(search), format_clock(elapsed), remaining)
    return row


def _trials(search: Search) -> str:
    done, total = len(search.results), search.budget.trials
    return f"{done}/{total} trials" if total else pluralize(done, "trial")


def _row(trial: RunningTrial) -> tuple[str, str, str, str, Text]:
    trying = Text(compact_params(trial.spec.params))
    if not trial.reports:
        return trial.spec.trial_id, "-", "-", "-", trying
    last = trial.reports[-1]
    best = trial.best_accuracy
    return (
        trial.spec.trial_id,
        f"{last.epoch:g}" if last.epoch == int(last.epoch) else f"{last.epoch:.1f}",
        f"{last.train_seconds:.1f}",
        "-" if best is None else f"{best:.4f}",
        trying,
    )
