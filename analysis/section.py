"""A section of a report: what the page and the command line both show of the same result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from analysis.plots.plot import Plot

MISSING = "-"
"""Text of a value that was not measured."""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    heading: str
    numeric: bool = True
    """Whether it is aligned to the right."""
    spare: int = 0
    """A narrow terminal leaves out columns with a higher number first."""


@dataclass(frozen=True)
class Cell:
    """A value of a table as text."""

    text: str
    detail: str = ""
    """Its interval or a remark, shown less prominently."""
    bad: bool = False

    def inline(self) -> str:
        """Return text and detail in one line."""
        return f"{self.text} [{self.detail}]" if self.detail else self.text


@dataclass(frozen=True)
class Table:
    """A table, best row first."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """A result: its answer in sentences, its table and plots."""

    title: str
    answer: str
    best: str | None = None
    """Trial that the answer recommends, or `records.DEFAULT`; None if it recommends none."""
    warnings: tuple[str, ...] = ()
    """Sentences that a reader must not miss."""
    table: Table
    notes: tuple[str, ...]
    """What the columns mean and how far to trust them."""
    plots: tuple[Plot[[]], ...]
    records: list[dict[str, object]]
    """The table as JSON values, with full precision."""
    files: Mapping[str, str]
    """Name and content of the files to write next to the page."""
    complete: bool
    """Whether at least one training completed."""


def number_cell(
    value: float | None, spec: str, interval: tuple[float, float] | None = None
) -> Cell:
    """Return a cell with a number; `MISSING` for None and NaN, no detail for a NaN interval."""
    if value is None or value != value:
        return Cell(MISSING)
    low, high = interval or (math.nan, math.nan)
    return Cell(f"{value:{spec}}", "" if low != low else f"{low:{spec}} – {high:{spec}}")
