"""How every plot of a report looks: colours, axes, legends.

Readable in print and by colour-blind people: the palette of Okabe & Ito, a marker for each colour,
greys that differ in lightness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v")
OTHERS = "#8c8c8c"
INK = "#222222"
CLOCK_NAMES = {"train": "training time", "wall": "wall-clock time"}


def figure(width: float = 8.0, height: float = 5.0) -> tuple[Figure, Axes]:
    """Return an empty figure in the report's style, and its axes; sizes in inches."""
    # no pyplot: nothing global is touched, so a notebook keeps its backend
    drawn = Figure(figsize=(width, height), dpi=144, facecolor="white")
    ax = drawn.add_subplot()
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(visible=True, which="major", color="#e6e6e6", lw=0.6)
    ax.set_axisbelow(True)
    return drawn, ax


def accuracy_over_seconds(ax: Axes, clock: str) -> None:
    """Set up the axes: logarithmic seconds and accuracy."""
    ax.set_xscale("log")
    # where fewer than two of these ticks are in sight, matplotlib chooses others
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:.4g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(f"{CLOCK_NAMES[clock]} (seconds, logarithmic)")
    ax.set_ylabel("validation accuracy (share)")


def floor_line(ax: Axes, floor: float) -> None:
    """Draw the floor of the ranking where the axes reach it."""
    low, high = ax.get_ylim()
    if low < floor < high:
        ax.axhline(
            floor, color=INK, lw=0.8, ls=":", zorder=0, label=f"floor of the ranking: {floor:.4g}"
        )


def legend_below(ax: Axes, columns: int) -> None:
    """Put the legend under the axes."""
    # outside the axes, where it can cover no data
    legend = ax.legend(
        loc="upper left", bbox_to_anchor=(0, -0.13), ncols=columns, frameon=False, fontsize=8,
        borderaxespad=0,
    )  # fmt: skip
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)  # a single point drawn as faintly as in a crowd is invisible


def nothing_measured(ax: Axes) -> None:
    """Say that there is nothing to draw."""
    ax.set_title("No trial measured an accuracy", loc="left")
    ax.set(xlim=(1, 100), ylim=(0, 1))
    ax.text(0.5, 0.5, "nothing to draw", ha="center", va="center", transform=ax.transAxes)


def faint(lines: float) -> float:
    """Opacity at which a crowd of so many still shows where it is dense."""
    return float(np.clip(3 / np.sqrt(lines), 0.1, 0.6))


def counted(number: int, what: str) -> str:
    """Return a number with its noun, in the plural where it is one."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def shortened(label: str, length: int = 110) -> str:
    """Return a label that a legend has room for."""
    return label if len(label) <= length else label[: length - 1] + "…"
