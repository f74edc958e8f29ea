"""Accuracy against seconds: every report, the Pareto front, lines of equal efficiency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analysis.curves import pareto_front
from analysis.load import Run
from analysis.plots import style
from analysis.plots.style import Array
from analysis.points import curve_points
from analysis.ranking import Ranking
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Front:
    """The Pareto front of one kind of device."""

    device: str
    seconds: Array
    accuracy: Array
    trial_ids: tuple[str, ...]


@dataclass(frozen=True)
class FrontData:
    """What `plot_front` draws: every report as a point."""

    seconds: Array
    accuracy: Array
    trial_ids: tuple[str, ...]
    on_front: npt.NDArray[np.bool_]
    """Of its kind of device."""
    fronts: tuple[Front, ...]
    """By time; the first is that of the ranking's first device."""
    floor: float
    chance: float
    best: tuple[float, float, str] | None
    """Seconds, accuracy and trial of the first device's report with the most accuracy per second,
    if ranked."""
    clock: str


def front_data(run: Run, ranking: Ranking) -> FrontData | None:
    """Collect every measured point and mark the Pareto front of (seconds, accuracy)."""
    points = curve_points(run, ranking.clock)
    if points.empty:
        return None
    seconds, accuracy = points["seconds"].to_numpy(), points["accuracy"].to_numpy()
    devices = points["trial_id"].map(ranking.table.set_index("trial_id")["device"]).to_numpy()
    on_front = np.zeros(len(points), dtype=bool)
    fronts = []
    for device in ranking.devices:
        here = np.flatnonzero(devices == device)
        chosen = here[pareto_front(seconds[here], accuracy[here])]
        chosen = chosen[np.argsort(seconds[chosen], kind="stable")]
        on_front[chosen] = True
        names = tuple(points["trial_id"].iloc[chosen])
        fronts.append(Front(device, seconds[chosen], accuracy[chosen], names))
    table = ranking.table
    table = table[(table["device"] == ranking.devices[0]) & table["accuracy_per_second"].notna()]
    best = None
    if len(table):
        row = table.iloc[int(table["accuracy_per_second"].to_numpy().argmax())]
        best = float(row["seconds"]), float(row["val_accuracy"]), str(row["trial_id"])
    return FrontData(
        seconds=seconds, accuracy=accuracy, trial_ids=tuple(points["trial_id"]), on_front=on_front,
        fronts=tuple(fronts), floor=ranking.floor, chance=ranking.chance, best=best,
        clock=ranking.clock,
    )  # fmt: skip


def plot_front(data: FrontData, ax: Axes) -> None:
    """Draw every report as a point, the Pareto front, and lines of equal efficiency."""
    style.accuracy_over_seconds(ax, data.clock)
    trials = pluralize(len(set(data.trial_ids)), "measured trial")
    touching = len({name for front in data.fronts for name in front.trial_ids})
    clock = style.CLOCK_NAMES[data.clock]
    ax.set_title(f"Accuracy against {clock}: {trials}, {touching} on the Pareto front", loc="left")
    ax.scatter(
        data.seconds, data.accuracy, s=12, color=style.OTHERS, rasterized=True,
        alpha=style.faint(len(data.seconds) / 10), linewidths=0, label="report of a trial",
    )  # fmt: skip
    colours = (style.COLOURS[0], *style.COLOURS[2:])
    for front, colour, marker in zip(data.fronts, colours, style.MARKERS, strict=False):
        where = f" of {front.device}" if len(data.fronts) > 1 else ""
        ax.plot(
            front.seconds, front.accuracy, drawstyle="steps-post", color=colour, lw=1.6,
            marker=marker, ms=5, zorder=3, label=f"Pareto front{where}, named by trial",
        )  # fmt: skip
        _name_front(ax, front)
    if data.best is not None:
        _iso_efficiency(data.best, data.chance, ax)
    style.floor_line(ax, data.floor)
    style.legend_below(ax, columns=2)


def _name_front(ax: Axes, front: Front) -> None:
    """Name a trial where it takes over the front, if there is room beside the last name."""
    low, high = ax.get_xlim()
    last_named, last_at = "", -np.inf
    for at, height, name in zip(
        np.log(front.seconds), front.accuracy, front.trial_ids, strict=True
    ):
        if name != last_named and at - last_at > 0.06 * np.log(high / low):
            ax.annotate(
                name, (np.exp(at), height), xytext=(-2, 6), textcoords="offset points",
                ha="right", fontsize=7, color=style.INK, zorder=5,
                bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
            )  # fmt: skip
            last_named, last_at = name, at


def _iso_efficiency(best: tuple[float, float, str], chance: float, ax: Axes) -> None:
    """Mark the best report, and lines of equal (accuracy - chance) / seconds: its, and parts."""
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
            label=f"as efficient: {rate:.3g} per second above chance; then ½, ¼, ⅛"
            if part == 1 else None,
        )  # fmt: skip
    ax.set(xlim=limits[0], ylim=limits[1])
