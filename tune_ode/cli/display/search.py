"""Display of a search: a live panel, or lines without a terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from rich.console import Console, Group
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from analysis.params import compact_params
from tune_ode.cli.display.leader import Leader
from tune_ode.records import Outcome
from tune_ode.text import format_clock, pluralize
from tune_ode.tuning.display import Display
from tune_ode.tuning.search.search import Search
from tune_ode.tuning.search.trials import RunningTrial

_PRINT_SECONDS = 10.0
"""Interval of progress lines without a terminal."""
_STYLES = {
    Outcome.COMPLETED: "green",
    Outcome.STOPPED: "yellow",
    Outcome.INTERRUPTED: "magenta",
}


class SearchDisplay(Display):
    """Display of a search on a console."""

    def __init__(self, search: Search, console: Console) -> None:
        self._search = search
        self._console = console
        self._status = ""
        self._leader = Leader(search.run_path)
        self._live = Live(
            console=console, get_renderable=self._panel, refresh_per_second=4, transient=True
        )
        self._printed = len(search.results)
        self._last_print = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._console.is_terminal:
            self._live.stop()
        else:
            self.tick()

    @contextmanager
    def status(self, text: str) -> Iterator[None]:
        """Show a text in place of the headline, or print it without a terminal."""
        self._status = text
        if not self._console.is_terminal:
            self.print(text)
        try:
            yield
        finally:
            self._status = ""

    def print(self, text: str) -> None:
        """Print a line, above the panel if there is one; may be called from another thread."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def tick(self) -> None:
        """Without a terminal, print a line per trial that has ended, and one once in a while."""
        if self._search.best is not None:
            self._leader.poll()
        if self._console.is_terminal:
            return
        ended = list(self._search.results.values())[self._printed :]
        for result in ended:
            reason = f": {result.reason}" if result.reason else ""
            self.print(f"trial {result.trial_id} {result.outcome}{reason}  [{self._summary()}]")
        self._printed += len(ended)
        if ended:
            self._last_print = time.monotonic()
        elif time.monotonic() - self._last_print > _PRINT_SECONDS:
            self._last_print = time.monotonic()
            self.print(self._summary())

    def _panel(self) -> Group:
        # the ^C that a terminal echoes must fit in the last row, or it shifts the panel
        running = Constrain(self._running(), self._console.width - len("^C") - 1)
        return Group(self._headline(), _bar(self._search), self._outcomes(), running)

    def _headline(self) -> Text:
        search = self._search
        if self._status:
            return Text(self._status, style="dim")
        if search.stop_reason:
            text = f"stopping: {search.stop_reason}; saving checkpoints …"
            return Text(text, style="bold yellow")
        if search.waiting:
            return Text(f"waiting for {search.waiting}", style="bold yellow")
        if search.best is None:
            text = "no result yet" if search.running else "starting the workers …"
            return Text(text, style="dim")
        if not self._leader.sentences:
            return Text("no trial is ranked yet", style="dim")
        parts = (sentence.partition(";") for sentence in self._leader.sentences)
        lines = (Text.assemble((first, "bold green"), *rest) for first, *rest in parts)
        return Text("\n").join(lines)

    def _outcomes(self) -> Text:
        counts = Counter(result.outcome for result in list(self._search.results.values()))
        text = Text()
        for outcome in Outcome:
            if counts[outcome]:
                text.append(f"{counts[outcome]} {outcome}", style=_STYLES.get(outcome, "red"))
                text.append("   ")
        return text

    def _running(self) -> Table:
        running = list(self._search.running.values())
        table = Table(
            box=None, pad_edge=False, header_style="dim", expand=True, show_header=bool(running)
        )
        table.add_column("trial", no_wrap=True, min_width=len("trial"))
        for heading in ("epoch", "seconds", "accuracy"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("parameters", no_wrap=True, overflow="ellipsis", ratio=1)
        for trial in running:
            table.add_row(*_row(trial))
        return table

    def _summary(self) -> str:
        search = self._search
        parts = [_trials(search), f"{len(search.running)} running"]
        if search.best is None:
            parts.append("no result yet")
        if search.waiting:
            parts.append(f"waiting for {search.waiting}")
        parts.append(format_clock(search.elapsed()))
        return ". ".join([", ".join(parts), *(self._leader.sentences or [])])


def _bar(search: Search) -> Table:
    elapsed, limit = search.elapsed(), search.budget.seconds
    done, total = len(search.results), search.budget.trials
    # a single trial is a poor predictor of the time for the rest
    left = [limit - elapsed] if limit else []
    if total and done >= 2:
        left.append(elapsed / done * (total - done))
    remaining = f"{format_clock(max(min(left), 0))} left" if left else ""
    row = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=1.0, completed=search.budget.spent(done, elapsed), width=40)
    row.add_row(bar, _trials(search), format_clock(elapsed), remaining)
    return row


def _trials(search: Search) -> str:
    done, total = len(search.results), search.budget.trials
    return f"{done}/{total} trials" if total else pluralize(done, "trial")


def _row(trial: RunningTrial) -> tuple[str, str, str, str, Text]:
    params = Text(compact_params(trial.spec.params))
    if not trial.reports:
        return trial.spec.trial_id, "-", "-", "-", params
    last = trial.reports[-1]
    best = trial.best_accuracy
    return (
        trial.spec.trial_id,
        f"{last.epoch:g}" if last.epoch == int(last.epoch) else f"{last.epoch:.1f}",
        f"{last.train_seconds:.1f}",
        "-" if best is None else f"{best:.4f}",
        params,
    )
