"""What the columns and marks of the ranking mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from analysis.ranking import Ranking
from analysis.ranking.points import CLOCK_NAMES
from tune_ode.cli.display.ranking.figures import constants

_SIGNS = {
    "starved": "short of CPU",
    "jumps": "some epochs took longer",
}

Row = Mapping[str, Any]


def legend(
    ranking: Ranking, rows: Sequence[Row], left_out: Sequence[str], *, intervals: bool
) -> Table:
    """Return the legend of the ranking.

    Args:
        ranking: the ranking.
        rows: shown trials.
        left_out: headings of columns for which the terminal is too narrow.
        intervals: whether any column shows them.
    """
    seconds = f"{CLOCK_NAMES[ranking.clock]} to that accuracy"
    if ranking.clock == "isolated":
        seconds += _uncertainty(rows)
    lines = {
        "in all": constants(rows),
        "hidden": f"{', '.join(left_out)}; `tune-ode rank --columns` and a wider terminal show more"
        * bool(left_out),
        "ranked": ranking.describe(),
        "seconds": seconds,
        "±": "95% interval: accuracy, by its images; acc./s, for another seed" * intervals,
        "marks": "; ".join(_marks(rows)),
    }
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, text in lines.items():
        if text:
            table.add_row(Text(name, style="dim"), Text(text, style="dim"))
    return table


def _marks(rows: Sequence[Row]) -> list[str]:
    marks = []
    if any(row["tied"] for row in rows):
        marks.append("= tied with the first")
    if any(row["pareto"] for row in rows):
        marks.append("* Pareto front")
    signs = {sign for row in rows for sign in row["clock"].split(", ") if sign}
    if signs:
        marks.append(f"! clock disturbed: {', '.join(_SIGNS[sign] for sign in sorted(signs))}")
    return marks


def _uncertainty(rows: Sequence[Row]) -> str:
    errors = [
        row["isolated_error"] / row["isolated_seconds"] for row in rows if row["isolated_seconds"]
    ]
    return f", estimated within {max(errors):.1%}" if errors else ""
