"""Style of all plots: colours, axes, legends.

For print and colour-blind readers: the palette of Okabe and Ito (2008), a marker or line style per
colour, greys of different lightness. A dark page inverts the lightness of the same pictures.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from PIL import Image

from analysis.plots.isolation import isolated
from analysis.ranking.points import CLOCK_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
"""Outcome → colour and hatch pattern."""
DPI = 120
"""Pixels per inch: a plot of 9 inches is 1,080 pixels wide; the page shows up to 960."""
_MARGIN = 3.0
"""Inches around a canvas for long labels and legends."""
_BORDER = 0.15
"""Inches around what is drawn, after cropping."""
_WHITE = 0xFFFFFFFF


@dataclass(frozen=True)
class Band:
    """A quantity over epochs, with its spread over trials."""

    epochs: Array
    middle: Array
    low: Array
    high: Array


class CroppedFigure(Figure):
    """A figure that is saved, and shown in a notebook, without the margin of `canvas`."""

    def savefig(self, fname: Any, **options: Any) -> None:
        """Save the figure, cropped; see `matplotlib.figure.Figure.savefig`."""
        with isolated():
            defaults: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": _BORDER}
            super().savefig(fname, **defaults | options)

    def _repr_png_(self) -> bytes:
        with isolated():
            return to_png(self)


def figure() -> tuple[Figure, Axes]:
    """Return a canvas in the report's style and its axes."""
    drawn = canvas()
    return drawn, axes(drawn)


def axes(drawn: Figure) -> Axes:
    """Return the only axes of a canvas."""
    only: Axes = grid(drawn, 1, 1, gap=(0.0, 0.0))[0, 0]
    return only


def blank(width: float, height: float) -> Figure:
    """Return a figure without axes; sizes in inches."""
    # Without pyplot, which would change the backend of a notebook.
    return CroppedFigure(figsize=(width, height), dpi=DPI, facecolor="white")


def to_png(figure: Figure) -> bytes:
    """Return a figure as a PNG, cropped to what is drawn and a white border.

    `savefig(bbox_inches="tight")` crops as well, but draws every figure twice.
    """
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    drawn = pixels.view(np.uint32)[..., 0] != _WHITE
    rows, columns = (np.flatnonzero(drawn.any(axis=axis)) for axis in (1, 0))
    pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, :3]
    border = round(_BORDER * figure.dpi)
    pixels = np.pad(pixels, ((border, border), (border, border), (0, 0)), constant_values=255)
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, format="png")
    return png.getvalue()


def canvas(width: float = 9.0, height: float = 5.0) -> Figure:
    """Return a figure without axes and with a margin for long labels and legends.

    `to_png` crops the margin. Cropping is faster than a layout engine, which measures every
    text of every axes several times.
    """
    return blank(width + 2 * _MARGIN, height + 2 * _MARGIN)


def grid(
    drawn: Figure, rows: int, columns: int, *, gap: tuple[float, float], sharey: bool = False
) -> npt.NDArray[Any]:
    """Divide a canvas into panels.

    Args:
        drawn: a figure from `canvas`.
        rows: number of rows.
        columns: number of columns.
        gap: inches between columns, and between rows.
        sharey: whether panels share their vertical axis.

    Returns:
        (rows, columns), axes.
    """
    width, height = drawn.get_size_inches()
    inner_width, inner_height = width - 2 * _MARGIN - 0.75, height - 2 * _MARGIN - 1.0
    panel_width = (inner_width - (columns - 1) * gap[0]) / columns
    panel_height = (inner_height - (rows - 1) * gap[1]) / rows
    panels = drawn.subplots(
        rows, columns, sharey=sharey, squeeze=False,
        gridspec_kw={
            "left": (_MARGIN + 0.65) / width,
            "right": (width - _MARGIN - 0.1) / width,
            "bottom": (_MARGIN + 0.5) / height,
            "top": (height - _MARGIN - 0.5) / height,
            "wspace": gap[0] / panel_width,
            "hspace": gap[1] / panel_height,
        },
    )  # fmt: skip
    for ax in panels.flat:
        set_style(ax)
    return panels


def heading(drawn: Figure, text: str, *, above: float = 0.35) -> None:
    """Put a title above the panels of `grid`, at a distance in inches."""
    width, height = drawn.get_size_inches()
    drawn.suptitle(
        text, x=(_MARGIN + 0.2) / width, y=(height - _MARGIN - 0.5 + above) / height,
        ha="left", va="bottom", fontsize=12,
    )  # fmt: skip


def legend_under_grid(drawn: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Put a legend under the panels of `grid`."""
    width, height = drawn.get_size_inches()
    drawn.legend(
        handles, labels, loc="upper left", ncols=4, frameon=False, fontsize=8, borderaxespad=0,
        bbox_to_anchor=((_MARGIN + 0.6) / width, (_MARGIN - 0.05) / height),
    )  # fmt: skip


def set_style(ax: Axes) -> None:
    """Show two spines and a light grid."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(visible=True, which="major", color="#e6e6e6", lw=0.6)
    ax.set_axisbelow(True)


def log_axis(ax: Axes) -> None:
    """Make the horizontal axis logarithmic, with plain numbers as tick labels."""
    ax.set_xscale("log")
    # If fewer than two of these ticks are visible, matplotlib chooses others.
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:.4g}"))
    ax.xaxis.set_minor_locator(NullLocator())


def epoch_axis(ax: Axes) -> None:
    """Set up a horizontal axis of epochs."""
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def accuracy_over_seconds(ax: Axes, clock: str) -> None:
    """Set up the axes: logarithmic seconds and accuracy."""
    log_axis(ax)
    ax.set_xlabel(f"{CLOCK_NAMES[clock]} (seconds, logarithmic)")
    ax.set_ylabel("validation accuracy (share)")


def plot_series(ax: Axes, epochs: Array, values: Array, number: int, label: str) -> None:
    """Draw a line in the colour, line style and marker of its number in the legend."""
    number %= len(COLOURS)
    ax.plot(
        epochs, values, color=COLOURS[number], ls=LINES[number], marker=MARKERS[number], ms=3.5,
        lw=1.4, label=label,
    )  # fmt: skip


def plot_band(ax: Axes, band: Band, number: int, label: str) -> None:
    """Draw the middle of a band as `plot_series` does, and shade its spread."""
    plot_series(ax, band.epochs, band.middle, number, label)
    colour = COLOURS[number % len(COLOURS)]
    ax.fill_between(band.epochs, band.low, band.high, color=colour, alpha=0.15, lw=0)


def floor_line(ax: Axes, floor: float) -> None:
    """Draw the floor of the ranking if it is within the axes."""
    low, high = ax.get_ylim()
    if low < floor < high:
        label = f"floor of the ranking: {floor:.4g}"
        ax.axhline(floor, color=INK, lw=0.8, ls=":", zorder=0, label=label)


def legend_below(ax: Axes, columns: int) -> None:
    """Put the legend under the axes, where it covers no data."""
    figure = ax.get_figure(root=True)
    height = ax.get_position().height * (figure.get_figheight() if figure else 1.0)
    legend = ax.legend(
        # half an inch below, under the label of the axis
        loc="upper left", bbox_to_anchor=(0, -0.5 / height), ncols=columns, frameon=False,
        fontsize=8, borderaxespad=0,
    )  # fmt: skip
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)  # a single transparent point is invisible


def best_share(trials: int) -> int:
    """Return how many trials count as the best: a tenth, but at least 5 of 10."""
    return max(-(-trials // 10), min(5, -(-trials // 2)))


def crowd_alpha(lines: float) -> float:
    """Return an opacity at which a number of overlapping lines still shows their density."""
    return float(np.clip(3 / np.sqrt(max(lines, 1)), 0.1, 0.6))


def jitter(points: Array, width: float) -> Array:
    """Return an offset for each point, so that equal points remain distinguishable.

    Multiples of the golden ratio fill the width evenly and reproducibly.
    """
    return np.asarray(((np.arange(len(points)) * 0.61803398875) % 1 - 0.5) * width, dtype=float)


def truncate(label: str, length: int = 110) -> str:
    """Return a label cut to a maximum length."""
    return label if len(label) <= length else label[: length - 1] + "…"
