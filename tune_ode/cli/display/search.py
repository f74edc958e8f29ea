"""Display of a search: a live panel, or lines without a terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from analysis.params import compact_params
from tune_ode.cli.display.leader import Leader
from tune_ode.cli.display.terminal import WARNING, outcome_style
from tune_ode.process.signals import block_signals
from tune_ode.records import Outcome, TrialResult
from tune_ode.text import format_clock, pluralize, sparkline
from tune_ode.tuning.display import Display
from tune_ode.tuning.search.search import Search
from tune_ode.tuning.search.trials import RunningTrial

_PRINT_SECONDS = 10.0
"""Interval of progress lines without a terminal."""
_ENDINGS = 5
"""Ended trials in the panel."""
_SPARKLINE = 40
"""Maximum characters of the sparkline."""


class SearchDisplay(Display):
    """Display of a search on a console."""

    def __init__(self, search: Search, console: Console) -> None:
        self._search = search
        self._console = console
        self._status = ""
        self._leader = Leader(search.run_path)
        self._earlier = self._printed = len(search.results)
        self._live = Live(
            console=console, get_renderable=self._panel, refresh_per_second=4, transient=True
        )
        self._last_print = time.monotonic()
        self._announced: list[str] = []
        """What was printed last: the best trials, without remarks."""

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            with block_signals():  # in its thread: only the main thread may get them
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
        """Without a terminal, print each trial that has ended, each new best, and the progress."""
        if self._search.best is not None:
            self._leader.poll()
        if self._console.is_terminal:
            return
        standing = self._leader.standing
        best = [sentence.partition(";")[0] for sentence in standing.sentences] if standing else []
        if standing and best != self._announced:
            self._announced = best
            for sentence in standing.sentences:
                self.print(sentence)
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

    def _panel(self) -> RenderableType:
        """Return the panel: no wider nor higher than the terminal."""
        # the ^C that a terminal echoes must fit in the last row, or it shifts the panel
        width = max(self._console.width - len("^C") - 1, 1)
        counts = self._counts()
        parts = [self._progress(), *[counts] * bool(counts), self._headline(), *self._best()]
        options = self._console.options.update(width=width)
        used = len(self._console.render_lines(Group(*parts), options, pad=False))
        running = list(self._search.running.values())
        ended = list(self._search.results.values())[self._earlier :][: -_ENDINGS - 1 : -1]
        lines = self._console.height - used - bool(running) - bool(ended) - 1
        rows = _rows_that_fit(len(running), len(ended), lines)
        if running:
            parts.append(self._running(running[: rows[0]]))
        if len(running) > rows[0]:
            parts.append(Text(f"and {len(running) - rows[0]} more running", style="dim"))
        if ended[: rows[1]]:
            parts.append(_endings(ended[: rows[1]]))
        return Constrain(Group(*parts), width)

    def _headline(self) -> Text:
        search = self._search
        if self._status:
            return Text(self._status, style="dim")
        if search.stop_reason:
            text = f"stopping: {search.stop_reason}; saving checkpoints …"
            return Text(text, style=WARNING)
        if search.waiting:
            return Text(f"waiting for {search.waiting}", style=WARNING)
        if search.best is None:
            text = "no result yet" if search.running else "starting the workers …"
            return Text(text, style="dim")
        standing = self._leader.standing
        if standing is None or not standing.sentences:
            return Text("no trial is ranked yet", style="dim")
        parts = (sentence.partition(";") for sentence in standing.sentences)
        lines = (Text.assemble((first, "bold green"), *rest) for first, *rest in parts)
        return Text("\n").join(lines)

    def _best(self) -> Iterator[RenderableType]:
        """Yield the configuration of the best trial, and how its figure has risen."""
        standing = self._leader.standing
        if standing is None:
            return
        if standing.params:
            yield Padding(Text(standing.params), (0, 0, 0, 2))
        if len(standing.history) > 1:
            first, last = standing.history[0], standing.history[-1]
            figures = f"  {first:.3g} → {last:.3g} accuracy per second"
            width = min(_SPARKLINE, self._console.width - len(figures) - 6)
            line = sparkline(standing.history, width)
            yield Text(f"  {line}{figures}", no_wrap=True, overflow="ellipsis")

    def _progress(self) -> Table:
        search = self._search
        row = Table.grid(padding=(0, 2, 0, 0), expand=True)
        row.add_column(ratio=1)
        for _ in range(2):
            row.add_column(no_wrap=True)
        done, elapsed = len(search.results), search.elapsed()
        bar = ProgressBar(total=1.0, completed=search.budget.spent(done, elapsed))
        row.add_row(bar, _trials(search), self._clock())
        return row

    def _clock(self) -> str:
        """Return the elapsed time, and what remains of it."""
        budget, elapsed = self._search.budget, self._search.elapsed()
        ended = len(self._search.results) - self._earlier
        left = [budget.seconds - elapsed] if budget.seconds else []
        # a single trial is a poor predictor of the time for the rest
        if budget.trials and ended >= 2:
            left.append(elapsed / ended * (budget.trials - len(self._search.results)))
        remaining = f", {format_clock(max(min(left), 0))} left" if left else ""
        return f"{format_clock(elapsed)}{remaining}"

    def _counts(self) -> Text:
        counts = Counter(result.outcome for result in list(self._search.results.values()))
        parts = [Text(f"{counts[outcome]} {outcome}", style=outcome_style(outcome))
                 for outcome in Outcome if counts[outcome]]  # fmt: skip
        if pace := self._pace():
            parts.insert(0, Text(pace))
        return Text("   ").join(parts)

    def _pace(self) -> str:
        """Return the trials per minute, once a trial has ended."""
        ended, minutes = len(self._search.results) - self._earlier, self._search.elapsed() / 60
        return f"{ended / minutes:.3g} trials/min" if ended and minutes > 0 else ""

    def _running(self, trials: Sequence[RunningTrial]) -> Table:
        standing = self._leader.standing
        varied = standing.varied if standing and len(standing.history) > 1 else None
        table = _table("running", "parameters", numbers=("epoch", "seconds", "accuracy"))
        for trial in trials:
            table.add_row(*_row(trial, varied))
        return table

    def _summary(self) -> str:
        search = self._search
        parts = [_trials(search), f"{len(search.running)} running"]
        if search.best is None:
            parts.append("no result yet")
        if search.waiting:
            parts.append(f"waiting for {search.waiting}")
        return ", ".join([*parts, *filter(None, [self._pace()]), self._clock()])


def _rows_that_fit(running: int, ended: int, lines: int) -> tuple[int, int]:
    """Return how many running and ended trials to show in a number of lines.

    At least one running trial is shown; a line is kept to count those that are not.
    """
    if running + ended <= lines:
        return running, ended
    shown = min(running, max(lines - ended - 1, 1))
    return shown, max(min(ended, lines - shown - (shown < running)), 0)


def _table(
    first: str, last: str, *, numbers: Sequence[str] = (), texts: Sequence[str] = ()
) -> Table:
    """Return an empty table with a line per trial, whose last column may be cut."""
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    table.add_column(first, no_wrap=True, min_width=len("trial"))
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in texts:
        table.add_column(heading, no_wrap=True)
    table.add_column(last, no_wrap=True, overflow="ellipsis", ratio=1)
    return table


def _endings(results: Sequence[TrialResult]) -> Table:
    """Return the trials that have ended, with the reasons."""
    table = _table("ended", "reason", texts=("outcome",))
    for result in results:
        outcome = Text(result.outcome, style=outcome_style(result.outcome))
        table.add_row(result.trial_id, outcome, Text(result.reason))
    return table


def _trials(search: Search) -> str:
    done, total = len(search.results), search.budget.trials
    return f"{done}/{total} trials" if total else pluralize(done, "trial")


def _row(trial: RunningTrial, varied: frozenset[str] | None) -> tuple[str, str, str, str, Text]:
    params = trial.spec.params
    if varied is not None:
        params = {name: value for name, value in params.items() if name in varied}
    text = Text(compact_params(params))
    if not trial.reports:
        return trial.spec.trial_id, "-", "-", "-", text
    last = trial.reports[-1]
    best = trial.best_accuracy
    return (
        trial.spec.trial_id,
        f"{last.epoch:g}" if last.epoch == int(last.epoch) else f"{last.epoch:.1f}",
        f"{last.train_seconds:.1f}",
        "-" if best is None else f"{best:.4f}",
        text,
    )
