"""The plots of a report: for each a function that computes what is seen, and one that draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis.curves import pareto_front
from analysis.load import Run
from analysis.rank import CLOCKS, Ranking, compact_params

if TYPE_CHECKING:
    from matplotlib.axes import Axes

matplotlib.use("Agg")

Array = npt.NDArray[np.float64]

# Okabe & Ito's palette: told apart by colour-blind readers; in print, markers and greys help
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
_MARKERS = ("o", "s", "^", "D", "v")
_OTHERS = "#9a9a9a"
_INK = "#222222"
HIGHLIGHTED = len(_COLOURS)
"""Trials drawn in a colour of their own: the best by the ranking."""


@dataclass(frozen=True)
class CurveLine:
    """One trial's curve."""

    trial_id: str
    label: str
    """What it tried, for the legend; empty where the trial is not highlighted."""
    seconds: Array
    accuracy: Array


@dataclass(frozen=True)
class CurvesData:
    """What `plot_curves` draws."""

    highlighted: tuple[CurveLine, ...]
    """The best trials, in the order of the ranking."""
    others: tuple[CurveLine, ...]
    envelope: CurveLine
    """Best accuracy that any trial had reached by an instant."""
    floor: float
    clock: str


def curves_data(run: Run, ranking: Ranking) -> CurvesData:
    """Collect every trial's accuracy over seconds, and the envelope of them all."""
    column = CLOCKS[ranking.clock]
    order = [row["trial_id"] for row in ranking.to_records() if row["val_accuracy"] is not None]
    params = dict(zip(run.trials["trial_id"], run.trials["params"], strict=True))
    lines = []
    for place, trial_id in enumerate(order):
        curve = run.curve(trial_id)
        label = f"{trial_id}  {compact_params(params[trial_id])}" if place < HIGHLIGHTED else ""
        lines.append(
            CurveLine(
                trial_id,
                label,
                curve[column].to_numpy(float),
                curve["val_accuracy"].to_numpy(float),
            )
        )
    seconds = np.concatenate([line.seconds for line in lines]) if lines else np.empty(0)
    accuracy = np.concatenate([line.accuracy for line in lines]) if lines else np.empty(0)
    by_time = np.argsort(seconds, kind="stable")
    best = np.maximum.accumulate(accuracy[by_time]) if lines else accuracy
    return CurvesData(
        highlighted=tuple(lines[:HIGHLIGHTED]),
        others=tuple(lines[HIGHLIGHTED:]),
        envelope=CurveLine("", "best of all so far", seconds[by_time], best),
        floor=ranking.floor,
        clock=ranking.clock,
    )


def plot_curves(data: CurvesData, ax: Axes) -> None:
    """Draw validation accuracy over seconds, a line a trial."""
    for line in data.others:
        ax.plot(
            line.seconds, line.accuracy, color=_OTHERS, lw=0.8, alpha=0.6, marker=".", ms=3,
            zorder=1,
        )  # fmt: skip
    if len(data.envelope.seconds):
        ax.step(
            data.envelope.seconds, data.envelope.accuracy, where="post", color=_INK, lw=1.2,
            ls=(0, (4, 2)), label=data.envelope.label, zorder=2,
        )  # fmt: skip
    for line, colour, marker in zip(data.highlighted, _COLOURS, _MARKERS, strict=False):
        ax.plot(
            line.seconds, line.accuracy, color=colour, marker=marker, ms=4, lw=1.6,
            label=_shortened(line.label), zorder=3,
        )  # fmt: skip
    ax.axhline(data.floor, color=_INK, lw=0.6, ls=":", zorder=0)
    _accuracy_over_seconds(ax, data.clock)
    ax.set_title("Validation accuracy over training time, every trial", loc="left")
    if not len(data.envelope.seconds):
        _nothing(ax)
    else:
        _legend_below(ax, columns=1)


@dataclass(frozen=True)
class FrontData:
    """What `plot_front` draws: every report as a point."""

    seconds: Array
    accuracy: Array
    trial_ids: tuple[str, ...]
    on_front: npt.NDArray[np.bool_]
    chance: float
    best_rate: float | None
    """Best accuracy per second of the ranking, in 1/s: the steepest iso-efficiency line."""
    clock: str


def front_data(run: Run, ranking: Ranking) -> FrontData:
    """Collect every measured point and mark the Pareto front of (seconds, accuracy)."""
    measured = run.lines[run.lines["val_accuracy"].notna()]
    seconds = measured[CLOCKS[ranking.clock]].to_numpy(float)
    accuracy = measured["val_accuracy"].to_numpy(float)
    rates = ranking.table["accuracy_per_second"].dropna()
    return FrontData(
        seconds=seconds,
        accuracy=accuracy,
        trial_ids=tuple(measured["trial_id"]),
        on_front=pareto_front(seconds, accuracy),
        chance=ranking.chance,
        best_rate=float(rates.max()) if len(rates) else None,
        clock=ranking.clock,
    )


def plot_front(data: FrontData, ax: Axes) -> None:
    """Draw accuracy against seconds with the Pareto front and lines of equal efficiency."""
    _accuracy_over_seconds(ax, data.clock)
    ax.set_title("Accuracy against training time, every report", loc="left")
    if not len(data.seconds):
        _nothing(ax)
        return
    ax.scatter(
        data.seconds, data.accuracy, s=12, color=_OTHERS, alpha=0.6, linewidths=0, label="a report"
    )
    order = np.argsort(data.seconds[data.on_front], kind="stable")
    seconds, accuracy = data.seconds[data.on_front][order], data.accuracy[data.on_front][order]
    names = np.array(data.trial_ids)[data.on_front][order]
    ax.step(seconds, accuracy, where="post", color=_COLOURS[0], lw=1.6)
    ax.scatter(
        seconds, accuracy, s=30, color=_COLOURS[0], marker="o", zorder=3, label="Pareto front"
    )
    # name a trial where it takes over the front, if there is room beside the last name
    reach = np.log(data.seconds.max() / data.seconds.min() + 1e-12)
    last_named, last_at = "", -np.inf
    for at, height, name in zip(np.log(seconds), accuracy, names, strict=True):
        if name != last_named and at - last_at > 0.06 * reach:
            ax.annotate(
                name, (np.exp(at), height), xytext=(0, 7), textcoords="offset points",
                ha="right", fontsize=7, color=_INK,
            )  # fmt: skip
            last_named, last_at = name, at
    if data.best_rate is not None:
        _iso_efficiency(data, ax)
    _legend_below(ax, columns=3)


def _iso_efficiency(data: FrontData, ax: Axes) -> None:
    """Dotted lines of equal (accuracy - chance) / seconds: the ranking's best, and parts of it."""
    assert data.best_rate is not None
    low, high = data.seconds.min(), data.seconds.max()
    grid = np.geomspace(low / 2, high * 2, 200)
    limits = ax.get_xlim(), ax.get_ylim()
    for share, style in ((1.0, (0, (1, 1))), (1 / 3, (0, (1, 2))), (1 / 10, (0, (1, 4)))):
        rate = share * data.best_rate
        ax.plot(
            grid, data.chance + rate * grid, color=_COLOURS[1], lw=1, ls=style, zorder=0,
            label=f"{rate:.2g} accuracy per second",
        )  # fmt: skip
    ax.set(xlim=limits[0], ylim=limits[1])


def figure(width: float = 8.0, height: float = 5.0) -> tuple[Figure, Axes]:
    """Return an empty figure in the report's style, and its axes; sizes in inches."""
    drawn = Figure(figsize=(width, height), dpi=144, facecolor="white")
    ax = drawn.add_subplot()
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(visible=True, which="major", color="#e6e6e6", lw=0.6)
    ax.set_axisbelow(True)
    return drawn, ax


def _accuracy_over_seconds(ax: Axes, clock: str) -> None:
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    what = "training time" if clock == "train" else "wall-clock time"
    ax.set_xlabel(f"{what} (seconds, logarithmic)")
    ax.set_ylabel("validation accuracy")


def _legend_below(ax: Axes, columns: int) -> None:
    # outside the axes, where it can cover no data
    ax.legend(
        loc="upper left", bbox_to_anchor=(0, -0.16), ncols=columns, frameon=False, fontsize=8,
        borderaxespad=0,
    )  # fmt: skip


def _nothing(ax: Axes) -> None:
    ax.text(0.5, 0.5, "nothing was measured", ha="center", va="center", transform=ax.transAxes)


def _shortened(label: str, length: int = 110) -> str:
    return label if len(label) <= length else label[: length - 1] + "…"
