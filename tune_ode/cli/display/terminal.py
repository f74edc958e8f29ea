"""Tables and styles for terminals of any width, on light and dark backgrounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

WARNING = "bold magenta"
"""Yellow and blue cannot be read on all backgrounds."""
_OUTCOMES: Mapping[str, str] = {
    "completed": "green", "stopped": "", "running": "cyan", "interrupted": "magenta",
}  # fmt: skip
_GAP = 2
"""Characters between columns."""


def outcome_style(outcome: str) -> str:
    """Return the style of a trial's outcome; failures are red."""
    return _OUTCOMES.get(outcome, "red")


@dataclass(frozen=True)
class Column:
    """A column that is shown without wrapping or cutting its cells, or not at all."""

    heading: str
    """May have several lines."""
    cells: Sequence[Text]
    """One per row; not strings, in which rich would read brackets as markup."""
    left: bool = False
    least: int = 0
    """Minimum width."""
    narrow: Column | None = None
    """What takes its place before it is left out."""

    @property
    def width(self) -> int:
        """Characters that it takes."""
        heading = map(cell_len, self.heading.splitlines())
        return max([self.least, *heading, *(cell.cell_len for cell in self.cells)])

    def rows(self, indices: Sequence[int]) -> Column:
        """Return the column with some of its rows, as wide as before."""
        return replace(self, cells=[self.cells[index] for index in indices], least=self.width)


def fit(columns: Mapping[str, Column], width: int, sacrifices: Iterable[str]) -> dict[str, Column]:
    """Return the columns that fit into a width.

    Args:
        columns: by name, in order.
        width: of the terminal, in characters.
        sacrifices: names of columns to narrow or leave out, the first one first; a column that
            has a narrow form is left out only where it is named again.
    """
    shown, sacrifices = dict(columns), iter(sacrifices)
    while sum(column.width + _GAP for column in shown.values()) - _GAP > width:
        if (name := next(sacrifices, None)) is None:
            break
        if name in shown:
            narrow = shown[name].narrow
            if narrow is None:
                del shown[name]
            else:
                shown[name] = narrow
    return shown


def table_of(columns: Mapping[str, Column]) -> Table:
    """Return the columns as a table."""
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for column in columns.values():
        justify: Literal["left", "right"] = "left" if column.left else "right"
        # a cell that is wider than the terminal is folded rather than cut
        table.add_column(column.heading, justify=justify, width=column.width, overflow="fold")
    for cells in zip(*(column.cells for column in columns.values()), strict=True):
        table.add_row(*cells)
    return table
