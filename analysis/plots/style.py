"""How every plot of a report looks: colours, axes, legends.

Readable in print and by colour-blind people: the palette of Okabe & Ito, a marker or line style for
each colour, greys that differ in lightness. Legible when a dark page inverts the lightness, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

Array = npt.NDArray[np.float64]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (6, 2)))
OTHERS = "#8c8c8c"
INK = "#222222"
OUTCOMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "completed": ("#009E73", ""),
        "stopped": ("#9fc8e0", ""),
        "running": ("#0072B2", ""),
        "interrupted": ("#E69F00", ""),
        "diverged": ("#D55E00", "////"),
        "out_of_memory": ("#CC79A7", "xxxx"),
        "failed": ("#555555", "...."),
    }
)
"""Outcome → colour and hatching."""
CLOCK_NAMES = {
    "isolated": "isolated training time",
    "train": "training time",
    "wall": "wall-clock time",
}


def figure(width: float = 9.0, height: float = 5.0) -> tuple[Figure, Axes]:
    """Return an empty figure in the report's style, and its axes; sizes in inches."""
    drawn = blank(width, height)
    ax = drawn.add_subplot()
    plain(ax)
    return drawn, ax


def blank(width: float = 9.0, height: float = 5.0, *, constrained: bool = False) -> Figure:
    """Return an empty figure without axes, for plots of several panels."""
    # no pyplot: nothing global is touched, so a notebook keeps its backend
    return Figure(
        figsize=(width, height), dpi=144, facecolor="white",
        layout="constrained" if constrained else None,
    )  # fmt: skip


def plain(ax: Axes) -> None:
    """Leave two spines and a faint grid."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(visible=True, which="major", color="#e6e6e6", lw=0.6)
    ax.set_axisbelow(True)


def log_axis(ax: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with ticks that read as numbers."""
    axis: Axis = ax.xaxis if which == "x" else ax.yaxis
    (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    # where fewer than two of these ticks are in sight, matplotlib chooses others
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:.4g}"))
    axis.set_minor_formatter(NullFormatter())


def log_seconds(ax: Axes, clock: str) -> None:
    """Set up a horizontal axis of logarithmic seconds."""
    log_axis(ax, "x")
    ax.set_xlabel(f"{CLOCK_NAMES[clock]} (seconds, logarithmic)")


def epoch_axis(ax: Axes) -> None:
    """Set up a horizontal axis of epochs."""
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def accuracy_over_seconds(ax: Axes, clock: str) -> None:
    """Set up the axes: logarithmic seconds and accuracy."""
    log_seconds(ax, clock)
    ax.set_ylabel("validation accuracy (share)")


def floor_line(ax: Axes, floor: float) -> None:
    """Draw the floor of the ranking where the axes reach it."""
    low, high = ax.get_ylim()
    if low < floor < high:
        ax.axhline(
            floor,
            color=INK,
            lw=0.8,
            ls=":",
            zorder=0,
            label=f"floor of the ranking: {floor:.4g}",
        )


def legend_below(ax: Axes, columns: int, **options: Any) -> None:
    """Put the legend under the axes."""
    # outside the axes, where it can cover no data; half an inch below them is their label
    figure = ax.get_figure(root=True)
    height = ax.get_position().height * (figure.get_figheight() if figure else 1.0)
    legend = ax.legend(
        loc="upper left", bbox_to_anchor=(0, -0.5 / height), ncols=columns, frameon=False,
        fontsize=8, borderaxespad=0, **options,
    )  # fmt: skip
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)  # a single point drawn as faintly as in a crowd is invisible


def best_share(trials: int) -> int:
    """Return how many trials stand for the best: a tenth, but five where there are ten."""
    return max(-(-trials // 10), min(5, -(-trials // 2)))


def faint(lines: float) -> float:
    """Opacity at which a crowd of so many still shows where it is dense."""
    return float(np.clip(3 / np.sqrt(max(lines, 1)), 0.1, 0.6))


def spread(places: Array, width: float) -> Array:
    """Return how far to move each point aside, so that equal ones can be told apart.

    The golden ratio's multiples fill the width evenly, and the same way each time.
    """
    return np.asarray(((np.arange(len(places)) * 0.61803398875) % 1 - 0.5) * width, dtype=float)


def shortened(label: str, length: int = 110) -> str:
    """Return a label that a legend has room for."""
    return label if len(label) <= length else label[: length - 1] + "…"
