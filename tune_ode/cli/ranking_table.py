"""The ranking as a table in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.rank import Ranking, compact_params

_STYLES = {"completed": "", "stopped": "yellow", "interrupted": "magenta", "running": "cyan"}


_WIDE = 100
"""Columns of a terminal; narrower, the figures that do not rank give room to the parameters."""
_CLOCK_COLUMNS = {"seconds": "train_seconds", "wall": "wall_seconds"}


def print_ranking(ranking: Ranking, console: Console, *, limit: int | None) -> None:
    """Print ranked trials, best first, then those without a rank.

    Args:
        ranking: of one run.
        console: where to.
        limit: how many rows at most; None: all.
    """
    rows = ranking.to_records()
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for heading in ("rank", "trial", "outcome"):
        table.add_column(heading, no_wrap=True)
    both_clocks = ("seconds", "wall") if ranking.clock == "train" else ("wall", "seconds")
    more = {"best": ("best_accuracy", 4), "anytime": ("anytime", 3)}
    if console.width < _WIDE:
        ranking_figure = {"accuracy": "best", "anytime": "anytime"}.get(ranking.by)
        more = {heading: what for heading, what in more.items() if heading == ranking_figure}
    for heading in ("accuracy", *both_clocks, "acc./s", *more):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("parameters", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows[:limit]:
        outcome = row["outcome"] or "running"
        table.add_row(
            str(row["rank"] or "-"),
            f"{row['trial_id']}{'*' if row['pareto'] else ''}",
            Text(outcome, style=_STYLES.get(outcome, "red")),
            _number(row["val_accuracy"], 4),
            *(_number(row[_CLOCK_COLUMNS[heading]], 2) for heading in both_clocks),
            _number(row["accuracy_per_second"], 3),
            *(_number(row[field], digits) for field, digits in more.values()),
            # as Text: a reason may hold brackets that rich would read as markup
            Text(row["reason"] if row["val_accuracy"] is None else compact_params(row["params"])),
        )
    console.print(table)
    if rows and rows[0]["rank"] == 1:
        best = f"best: trial {rows[0]['trial_id']}: {compact_params(rows[0]['params'])}"
        console.print(best, highlight=False, markup=False)
    notes = [
        f"by {ranking.by} on the {ranking.clock} clock; ranked from {ranking.floor:.4f} validation "
        "accuracy up; accuracy, seconds of training and wall-clock seconds are those at the best "
        "acc./s; * on the Pareto front"
    ]
    if limit is not None and len(rows) > limit:
        hidden = len(rows) - limit
        notes.append(f"and {hidden} more trial{'s' * (hidden != 1)}")
    for note in notes:
        console.print(note, style="dim", highlight=False)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
