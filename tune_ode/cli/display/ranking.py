"""The ranking as a table in the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.params import compact_params
from analysis.ranking import Ranking, describe_best
from analysis.ranking.table import margin
from tune_ode.text import format_duration, pluralize

_STYLES = {"completed": "", "stopped": "yellow", "interrupted": "magenta", "running": "cyan"}

_PARAMETERS = 8
"""Characters for the parameters; a narrow terminal omits columns that do not rank instead."""
_CLOCK_COLUMNS = {
    "isolated": "isolated_seconds", "seconds": "train_seconds", "wall": "wall_seconds",
}  # fmt: skip
_CLOCK_HEADINGS = {
    "isolated": ("isolated", "seconds", "wall"),
    "train": ("seconds", "wall"),
    "wall": ("wall", "seconds"),
}
"""Clock → headings of its seconds, then of the other clocks."""
_FIGURES = {
    "best": ("best_accuracy", 4), "anytime": ("anytime", 3),
    "adds": ("hypervolume_contribution", 4),
}  # fmt: skip
"""Heading → column and digits of the figures after accuracy, seconds and their rate."""
_FIGURE_OF = {"accuracy": "best", "anytime": "anytime", "hypervolume": "adds"}
_SIGNS = {
    "starved": "it waited for a CPU that another process used",
    "jumps": "epochs took much longer than the surrounding ones",
}


def print_ranking(ranking: Ranking, console: Console, *, limit: int | None) -> None:
    """Print the best trial of each budget, then all trials, best first; one table per device.

    Args:
        ranking: ranking of one or more runs.
        console: where to print.
        limit: maximum number of rows; None: all.
    """
    rows = [
        row | {"margin": margin(row), "tied": row["tied"] and ranking.shows_ties}
        for row in ranking.to_records()
    ]
    row_of = {(row["run"], row["trial_id"]): row for row in rows}
    picked = [row_of[pick.run, pick.trial_id] for pick in ranking.budget_picks]
    if picked:
        console.print(_picks(ranking, picked))
        console.print()
    figures = _figures(ranking)
    shown = _fit(ranking, figures, rows[:limit], console.width)
    for device, group in _by_device(ranking, rows[:limit]):
        if device is not None:
            console.print(f"on {device}", style="bold", highlight=False, markup=False)
        console.print(_table([_cells(row, figures) for row in group], shown, console.width))
    for sentence in describe_best(ranking):
        console.print(f"{sentence}.", highlight=False, markup=False)
    for note in _notes(ranking, shown, rows[:limit], picked):
        console.print(note, style="dim", highlight=False, markup=False)
    if limit is not None and len(rows) > limit:
        hidden = len(rows) - limit
        console.print(f"and {pluralize(hidden, 'more trial')}", style="dim", highlight=False)


def _figures(ranking: Ranking) -> dict[str, tuple[str, int]]:
    """Return the figures of each trial: heading → column and digits."""
    figures = {"accuracy": ("val_accuracy", 4)}
    for heading in _CLOCK_HEADINGS[ranking.clock]:
        figures[heading] = (_CLOCK_COLUMNS[heading], 2)
    figures |= {"acc./s": ("accuracy_per_second", 3), "±": ("margin", 3)}
    if "@" in ranking.by:
        figures[ranking.by] = (ranking.column, 2 if ranking.by.startswith("seconds") else 4)
    adds = ranking.by == "hypervolume"
    return figures | {name: figure for name, figure in _FIGURES.items() if adds or name != "adds"}


def _fit(
    ranking: Ranking, figures: dict[str, tuple[str, int]], rows: list[dict[str, Any]], width: int
) -> list[str]:
    """Return the headings that fit into the terminal without cutting a number."""
    cells = [_cells(row, figures) for row in rows]
    headings = ["rank", *["run"] * (len(ranking.runs) > 1), "trial", "outcome", *figures, "shared"]
    widths = {
        heading: max([len(heading), *(row[heading].cell_len for row in cells)]) + 2
        for heading in headings
    }
    clock, *other_clocks = _CLOCK_HEADINGS[ranking.clock]
    figures_only = [heading for heading in _FIGURES if heading != _FIGURE_OF.get(ranking.by)]
    others = reversed([clock, "outcome", "±", *other_clocks[:1], "shared", *other_clocks[1:]])
    for heading in (*reversed(figures_only), *others):
        if sum(widths.values()) + _PARAMETERS > width:
            widths.pop(heading, None)
    return [*widths, "parameters"]


def _cells(row: dict[str, Any], figures: dict[str, tuple[str, int]]) -> dict[str, Text]:
    # Text, since rich would read brackets in a string as markup
    outcome = row["outcome"]
    numbers = {
        heading: Text(_number(row[column], digits)) for heading, (column, digits) in figures.items()
    }
    return {
        "rank": Text(f"{row['rank'] or '-'}{'=' if row['tied'] else ''}"),
        "run": Text(row["run"]),
        "trial": Text(f"{row['trial_id']}{'*' if row['pareto'] else ''}"),
        "outcome": Text(outcome, style=_STYLES.get(outcome, "red")),
        **numbers,
        "shared": Text(_number(row["concurrent_trials"], 0) + ("!" if row["clock"] else "")),
        "parameters": Text(
            row["reason"] if row["val_accuracy"] is None else compact_params(row["params"])
        ),
    }


def _by_device(
    ranking: Ranking, rows: list[dict[str, Any]]
) -> list[tuple[str | None, list[dict[str, Any]]]]:
    """Return the rows of each device; unmeasured trials are in the last table."""
    if len(ranking.devices) < 2:
        return [(None, rows)]
    last = ranking.devices[-1]
    groups: dict[str, list[dict[str, Any]]] = {device: [] for device in ranking.devices}
    for row in rows:
        groups[row["device"] if row["val_accuracy"] is not None else last].append(row)
    return [(device, group) for device, group in groups.items() if group]


def _table(rows: list[dict[str, Text]], headings: list[str], width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    widths = {
        heading: max([len(heading), *(row[heading].cell_len for row in rows)])
        for heading in headings[:-1]
    }
    others = sum(width + 2 for heading, width in widths.items() if heading != "run")
    for heading in widths:
        left = heading in ("rank", "run", "trial", "outcome")
        # only the name of a run may be cut
        most = max(width - others - 2 - _PARAMETERS, len("run")) if heading == "run" else None
        table.add_column(heading, justify="left" if left else "right", no_wrap=True, max_width=most)
    table.add_column(headings[-1], no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        table.add_row(*(row[heading] for heading in headings))
    return table


def _picks(ranking: Ranking, rows: list[dict[str, Any]]) -> Table:
    """Return the table of budgets; `rows` are those of the picked trials."""
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    several = len(ranking.devices) > 1
    for heading in ("with", *["device"] * several, "use trial"):
        table.add_column(heading, no_wrap=True)
    table.add_column("accuracy", justify="right", no_wrap=True)
    table.add_column("parameters", no_wrap=True, overflow="ellipsis", ratio=1)
    for pick, row in zip(ranking.budget_picks, rows, strict=True):
        table.add_row(
            format_duration(pick.budget),
            *[Text(pick.device)] * several,
            Text(ranking.trial_name(row) + "!" * bool(row["clock"])),
            _number(pick.accuracy, 4),
            Text(compact_params(row["params"])),
        )
    return table


def _notes(
    ranking: Ranking,
    headings: list[str],
    rows: list[dict[str, Any]],
    picked: list[dict[str, Any]],
) -> list[str]:
    notes = [
        f"{ranking.describe()} Accuracy, seconds of training and wall-clock seconds are those of "
        "the report that reaches the floor; * on the Pareto front"
    ]
    if "shared" in headings:
        notes[0] += "; shared: maximum number of trials on its node"
    if "adds" in headings:
        notes[0] += "; adds: contribution to the hypervolume"
    if "isolated" in headings:
        notes[0] += f"; isolated: estimated seconds on an idle device{_uncertainty(rows)}"
    if any(row["tied"] for row in rows):
        notes.append("= tied: its acc./s, ± 95% for another seed, cannot be told from the first's")
    signs = {sign for row in (*rows, *picked) for sign in row["clock"].split(", ") if sign}
    if signs:
        meanings = "; ".join(_SIGNS[sign] for sign in sorted(signs))
        notes.append(f"! the clock of the trial looks disturbed: {meanings}")
    for device, share in ranking.hypervolumes.items():
        where = f" on {device}" if len(ranking.devices) > 1 else ""
        notes.append(f"hypervolume{where} {share:.4f} of accuracy by log-seconds")
    return notes


def _uncertainty(rows: list[dict[str, Any]]) -> str:
    errors = [
        row["isolated_error"] / row["isolated_seconds"] for row in rows if row["isolated_seconds"]
    ]
    return f", within {max(errors):.1%} (standard error)" if errors else ""


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
