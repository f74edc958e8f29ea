"""The ranking as tables: the best trial of each budget, then all trials of each device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.params import without_branch
from analysis.ranking import Ranking, describe_best
from tune_ode.cli.display.ranking import figures, legend
from tune_ode.cli.display.terminal import Column, fit, table_of
from tune_ode.text import format_duration, pluralize

_FAILURES_SHOWN = 3
"""Unmeasured trials in a table with a limited number of rows."""

Row = Mapping[str, Any]


def print_ranking(
    ranking: Ranking,
    console: Console,
    *,
    limit: int | None = None,
    columns: Sequence[str] | None = None,
) -> None:
    """Print the best trial of each budget, then the measured trials, best first, of each device.

    A terminal that is too narrow for all columns leaves out parameters, the least important first,
    and says which.

    Args:
        ranking: ranking of one or more runs.
        console: where to print.
        limit: maximum number of rows; None: all.
        columns: names of columns of the table, parameters, or `parameters` for those in which the
            shown trials differ; None: those that the ranking is about.

    Raises:
        UsageError: unknown name of a column.
    """
    rows = [row | {"tied": row["tied"] and ranking.shows_ties} for row in ranking.to_records()]
    row_of = {_key(row): row for row in rows}
    picked = [row_of[pick.run, pick.trial_id] for pick in ranking.budget_picks]
    measured = [row for row in rows if row["val_accuracy"] is not None]
    shown = measured[:limit]
    if columns is None:
        names = figures.default_names(ranking, shown)
    else:
        names = figures.chosen_names(ranking, columns)
    # the picked trials too, so that both tables have the same parameters
    both = list({_key(row): row for row in (*shown, *picked)}.values())
    built = figures.build_columns(ranking, names, both)
    visible = fit(built, console.width, _sacrifices(ranking, built, chosen=columns is not None))
    if picked:
        index_of = {_key(row): index for index, row in enumerate(both)}
        at = [index_of[_key(row)] for row in picked]
        columns_of_picks = {name: column.rows(at) for name, column in visible.items()}
        trials = figures.build_columns(ranking, ["trial_id"], picked)
        console.print(_picks(ranking, columns_of_picks | trials))
        console.print()
    for device in ranking.devices:
        if len(ranking.devices) > 1:
            _print(f"on {device}", console, "bold")
        here = [index for index, row in enumerate(shown) if row["device"] == device]
        console.print(table_of({n: column.rows(here) for n, column in visible.items()}))
    if len(measured) > len(shown):
        _print(f"and {pluralize(len(measured) - len(shown), 'more trial')}", console, "dim")
    _print_unmeasured(ranking, [row for row in rows if row["val_accuracy"] is None], console,
                      limit=None if limit is None else _FAILURES_SHOWN)  # fmt: skip
    left_out = [" ".join(built[name].heading.split()) for name in built if name not in visible]
    intervals = any("±" in column.heading for column in visible.values())
    console.print(legend.legend(ranking, both, left_out, intervals=intervals))
    for sentence in describe_best(ranking):
        _print(f"{sentence}.", console)


def _key(row: Row) -> tuple[str, str]:
    return row["run"], row["trial_id"]


def _print(text: str, console: Console, style: str = "") -> None:
    console.print(text, style=style, highlight=False, markup=False)


def _sacrifices(ranking: Ranking, columns: Mapping[str, Column], *, chosen: bool) -> Iterator[str]:
    """Yield the columns to leave out where the terminal is narrow, in that order."""
    if chosen:
        yield from ("run", *reversed(list(columns)))
        return
    yield from reversed(_by_importance(ranking, columns))
    yield from ("run", "val_accuracy", "accuracy_per_second", "outcome", "seconds")
    if ranking.column != "accuracy_per_second":
        yield "accuracy_per_second"
    yield from ("val_accuracy", "run")


def _by_importance(ranking: Ranking, columns: Mapping[str, Column]) -> list[str]:
    """Return the parameters among the columns, the most important first, then as in the space."""
    params = [name for name in columns if name not in ranking.table]
    if len(params) < 2:
        return params
    # Importing Optuna takes half a second
    from analysis.importance import importances

    table = ranking.table
    found = importances(table["params"], table["best_accuracy"], table["seconds"])
    ranked = without_branch(dict.fromkeys(found.names if found else ()))
    return [*(name for name in ranked if name in params), *(n for n in params if n not in ranked)]


def _picks(ranking: Ranking, columns: Mapping[str, Column]) -> Table:
    """Return the table of budgets; `columns` are those of the ranking for the picked trials."""
    picks = ranking.budget_picks
    several = {"device": len(ranking.devices) > 1, "run": "run" in columns}
    texts = {
        "with": [format_duration(pick.budget) for pick in picks],
        "device": [pick.device for pick in picks],
    }
    table = {name: Column(name, list(map(Text, cells)), left=True) for name, cells in texts.items()}
    table |= {name: columns[name] for name in ("run",) if name in columns}
    table["trial"] = replace(columns["trial_id"], heading="use trial")
    table["accuracy"] = Column("accuracy", [Text(f"{pick.accuracy:.4f}") for pick in picks])
    table |= {name: column for name, column in columns.items() if name not in ranking.table}
    return table_of({n: c for n, c in table.items() if several.get(n, True)})


def _print_unmeasured(
    ranking: Ranking, rows: Sequence[Row], console: Console, *, limit: int | None
) -> None:
    """Print why trials have no accuracy."""
    if not rows:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("not measured", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("reason", overflow="fold")
    for row in rows[:limit]:
        table.add_row(ranking.trial_name(row), figures.outcome_text(row), Text(row["reason"]))
    console.print(table)
    if limit is not None and len(rows) > limit:
        _print(f"and {len(rows) - limit} more without a measurement", console, "dim")
