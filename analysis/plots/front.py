"""Accuracy against seconds: all reports, the Pareto front, lines of equal efficiency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.curves import pareto_front
from analysis.load import Run
from analysis.plots import style
from analysis.plots.style import Array
from analysis.ranking import Ranking
from analysis.ranking.points import CLOCK_NAMES, curve_points
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Front:
    """The Pareto front of a device type."""

    device: str
    seconds: Array
    accuracy: Array
    trial_ids: tuple[str, ...]


@dataclass(frozen=True)
class FrontData:
    """Input of `plot_front`: every report as a point."""

    seconds: Array
    accuracy: Array
    trial_ids: tuple[str, ...]
    fronts: tuple[Front, ...]
    """One per device, in ranking order; points by time."""
    floor: float
    chance: float
    best: tuple[float, float, str] | None
    """Seconds, accuracy and trial of the report with the most accuracy per second on the first
    device; None if no trial is ranked."""
    clock: str


def front_data(run: Run, ranking: Ranking) -> FrontData | None:
    """Return all measured points and the Pareto front of each device."""
    points = curve_points(run, ranking.clock)
    if points.empty:
        return None
    seconds, accuracy = points["seconds"].to_numpy(), points["accuracy"].to_numpy()
    devices = points["trial_id"].map(ranking.table.set_index("trial_id")["device"]).to_numpy()
    fronts = []
    for device in ranking.devices:
        here = np.flatnonzero(devices == device)
        best_points = here[pareto_front(seconds[here], accuracy[here])]
        best_points = best_points[np.argsort(seconds[best_points], kind="stable")]
        names = tuple(points["trial_id"].iloc[best_points])
        fronts.append(Front(device, seconds[best_points], accuracy[best_points], names))
    table = ranking.table
    table = table[(table["device"] == ranking.devices[0]) & table["accuracy_per_second"].notna()]
    best = None
    if len(table):
        row = table.iloc[int(table["accuracy_per_second"].to_numpy().argmax())]
        best = float(row["seconds"]), float(row["val_accuracy"]), str(row["trial_id"])
    return FrontData(
        seconds=seconds, accuracy=accuracy, trial_ids=tuple(points["trial_id"]),
        fronts=tuple(fronts), floor=ranking.floor, chance=ranking.chance, best=best,
        clock=ranking.clock,
    )  # fmt: skip


def plot_front(data: FrontData, ax: Axes) -> None:
    """Draw all reports, the Pareto front and lines of equal efficiency."""
    style.accuracy_over_seconds(ax, data.clock)
    trials = pluralize(len(set(data.trial_ids)), "measured trial")
    on_front = len({name for front in data.fronts for name in front.trial_ids})
    clock = CLOCK_NAMES[data.clock]
    ax.set_title(f"Accuracy against {clock}: {trials}, {on_front} on the Pareto front", loc="left")
    ax.scatter(
        data.seconds, data.accuracy, s=12, color=style.OTHERS, rasterized=True,
        alpha=style.crowd_alpha(len(data.seconds) / 10), linewidths=0, label="report of a trial",
    )  # fmt: skip
    colours = (style.COLOURS[0], *style.COLOURS[2:])
    for front, colour, marker in zip(data.fronts, colours, style.MARKERS, strict=False):
        where = f" of {front.device}" if len(data.fronts) > 1 else ""
        ax.plot(
            front.seconds, front.accuracy, drawstyle="steps-post", color=colour, lw=1.6,
            marker=marker, ms=5, zorder=3, label=f"Pareto front{where}, named by trial",
        )  # fmt: skip
        _annotate_front(ax, front)
    if data.best is not None:
        _iso_efficiency(data.best, data.chance, ax)
    style.floor_line(ax, data.floor)
    style.legend_below(ax, columns=2)


def _annotate_front(ax: Axes, front: Front) -> None:
    """Annotate the first report of each trial on the front, unless labels would overlap."""
    low, high = ax.get_xlim()
    last_name, last_x = "", -np.inf
    for x, y, name in zip(np.log(front.seconds), front.accuracy, front.trial_ids, strict=True):
        if name != last_name and x - last_x > 0.06 * np.log(high / low):
            ax.annotate(
                name, (np.exp(x), y), xytext=(-2, 6), textcoords="offset points",
                ha="right", fontsize=7, color=style.INK, zorder=5,
                bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
            )  # fmt: skip
            last_name, last_x = name, x


def _iso_efficiency(best: tuple[float, float, str], chance: float, ax: Axes) -> None:
    """Draw the best report and lines of 1, ½, ¼ and ⅛ of its (accuracy - chance) / seconds."""
    seconds, accuracy, trial_id = best
    rate = (accuracy - chance) / seconds
    limits = ax.get_xlim(), ax.get_ylim()
    grid = np.geomspace(*limits[0], 200)
    ax.scatter(
        [seconds], [accuracy], marker="*", s=170, color=style.COLOURS[1], edgecolor="white", lw=0.6,
        zorder=4, label=f"most accuracy per second: trial {trial_id}",
    )  # fmt: skip
    for part, width in ((1.0, 1.2), (1 / 2, 0.7), (1 / 4, 0.7), (1 / 8, 0.7)):
        ax.plot(
            grid, chance + part * rate * grid, color=style.COLOURS[1], lw=width,
            ls=(0, (1, 1.5)), zorder=2, alpha=1 if part == 1 else 0.6,
            label=f"same efficiency: {rate:.3g}/s above chance; then ½, ¼, ⅛ of it"
            if part == 1 else None,
        )  # fmt: skip
    ax.set(xlim=limits[0], ylim=limits[1])
