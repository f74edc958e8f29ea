"""The plots of a report: for each a function that computes what is seen, and one that draws it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from analysis import style
from analysis.curves import best_so_far, pareto_front
from analysis.load import Run
from analysis.rank import Ranking, compact_params, measured
from tune_ode.records import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]

HIGHLIGHTED = len(style.COLOURS)
"""Trials drawn in a colour of their own: the best by the ranking."""
BROKEN = (Outcome.DIVERGED, Outcome.OUT_OF_MEMORY, Outcome.FAILED)
"""Outcomes after which a curve does not go on because it could not."""


@dataclass(frozen=True)
class CurveLine:
    """One trial's curve."""

    trial_id: str
    label: str
    """Rank and what it tried, for the legend; empty where the trial is not highlighted."""
    seconds: Array
    accuracy: Array
    broken: bool
    """Whether it ended in one of `BROKEN`."""


@dataclass(frozen=True)
class CurvesData:
    """What `plot_curves` draws."""

    highlighted: tuple[CurveLine, ...]
    """The best trials, in the order of the ranking."""
    others: tuple[CurveLine, ...]
    envelope: tuple[Array, Array]
    """Seconds, and the best accuracy that any trial had reached by then."""
    floor: float
    clock: str


def curves_data(run: Run, ranking: Ranking) -> CurvesData:
    """Collect every trial's accuracy over seconds, and the envelope of them all."""
    points = measured(run, ranking.clock)
    by_trial = dict(list(points.groupby("trial_id")))
    rows = [row for row in ranking.to_records() if row["trial_id"] in by_trial]
    # where nothing is ranked, the nearest to the floor
    best = [row for row in rows if row["rank"] is not None][:HIGHLIGHTED] or rows[:HIGHLIGHTED]
    differ = _differing([row["params"] for row in best])
    labels = {
        row["trial_id"]: f"{row['rank'] or '–'}.  {row['trial_id']}  "
        + compact_params({n: value for n, value in row["params"].items() if n in differ})
        for row in best
    }
    lines = [
        CurveLine(
            trial_id=row["trial_id"],
            label=labels.get(row["trial_id"], ""),
            seconds=by_trial[row["trial_id"]]["seconds"].to_numpy(),
            accuracy=by_trial[row["trial_id"]]["accuracy"].to_numpy(),
            broken=row["outcome"] in BROKEN,
        )
        for row in rows
    ]
    return CurvesData(
        highlighted=tuple(line for line in lines if line.label),
        others=tuple(line for line in lines if not line.label),
        envelope=best_so_far(points["seconds"].to_numpy(), points["accuracy"].to_numpy()),
        floor=ranking.floor,
        clock=ranking.clock,
    )


def _differing(params: list[dict[str, Any]]) -> set[str]:
    """Return the names that tell trials apart; all of them where there is but one trial."""
    names = {name for searched in params for name in searched}
    values = {name: {repr(searched.get(name)) for searched in params} for name in names}
    return {name for name in names if len(params) == 1 or len(values[name]) > 1}


def plot_curves(data: CurvesData, ax: Axes) -> None:
    """Draw validation accuracy over seconds, a line a trial."""
    seconds, best = data.envelope
    count = len(data.highlighted) + len(data.others)
    style.accuracy_over_seconds(ax, data.clock)
    if not count:
        style.nothing_measured(ax)
        return
    clock, trials = style.CLOCK_NAMES[data.clock], style.counted(count, "measured trial")
    ax.set_title(f"Validation accuracy over {clock}: {trials}, best {best[-1]:.4f}", loc="left")
    for line in data.others:
        ax.plot(
            line.seconds, line.accuracy, color=style.OTHERS, lw=0.8, alpha=style.faint(count),
            marker=".", ms=3, zorder=1,
        )  # fmt: skip
    broken = [line for line in (*data.highlighted, *data.others) if line.broken]
    ax.step(
        seconds, best, where="post", color=style.INK, lw=1.2, ls=(0, (4, 2)), zorder=3,
        label="best of all trials so far",
    )  # fmt: skip
    for line, colour, marker in zip(data.highlighted, style.COLOURS, style.MARKERS, strict=False):
        ax.plot(
            line.seconds, line.accuracy, color=colour, marker=marker, ms=4, lw=1.6,
            label=style.shortened(line.label), zorder=4,
        )  # fmt: skip
    if broken:
        ax.scatter(
            [line.seconds[-1] for line in broken], [line.accuracy[-1] for line in broken],
            marker="x", s=45 * style.faint(count), color=style.INK, lw=1, zorder=5,
            label="last report of a trial that diverged, ran out of memory or failed",
        )  # fmt: skip
    style.floor_line(ax, data.floor)
    style.legend_below(ax, columns=1)


@dataclass(frozen=True)
class FrontData:
    """What `plot_front` draws: every report as a point."""

    seconds: Array
    accuracy: Array
    trial_ids: tuple[str, ...]
    on_front: npt.NDArray[np.bool_]
    floor: float
    chance: float
    best: tuple[float, float, str] | None
    """Seconds, accuracy and trial of the report with the most accuracy per second, if ranked."""
    clock: str


def front_data(run: Run, ranking: Ranking) -> FrontData:
    """Collect every measured point and mark the Pareto front of (seconds, accuracy)."""
    points = measured(run, ranking.clock)
    seconds, accuracy = points["seconds"].to_numpy(), points["accuracy"].to_numpy()
    ranked = [row for row in ranking.to_records() if row["rank"] is not None]
    best = max(ranked, key=lambda row: float(row["accuracy_per_second"]), default=None)
    return FrontData(
        seconds=seconds,
        accuracy=accuracy,
        trial_ids=tuple(points["trial_id"]),
        on_front=pareto_front(seconds, accuracy),
        floor=ranking.floor,
        chance=ranking.chance,
        best=(best["seconds"], best["val_accuracy"], best["trial_id"]) if best else None,
        clock=ranking.clock,
    )


def plot_front(data: FrontData, ax: Axes) -> None:
    """Draw accuracy against seconds, the Pareto front, and the best accuracy per second."""
    style.accuracy_over_seconds(ax, data.clock)
    if not len(data.seconds):
        style.nothing_measured(ax)
        return
    touching = len(set(np.array(data.trial_ids)[data.on_front]))
    clock = style.CLOCK_NAMES[data.clock]
    trials = style.counted(len(set(data.trial_ids)), "measured trial")
    ax.set_title(f"Accuracy against {clock}: {trials}, {touching} on the Pareto front", loc="left")
    ax.scatter(
        data.seconds, data.accuracy, s=12, color=style.OTHERS,
        alpha=style.faint(len(data.seconds) / 10), linewidths=0, label="report of a trial",
    )  # fmt: skip
    order = np.argsort(data.seconds[data.on_front], kind="stable")
    seconds, accuracy = data.seconds[data.on_front][order], data.accuracy[data.on_front][order]
    ax.plot(
        seconds, accuracy, drawstyle="steps-post", color=style.COLOURS[0], lw=1.6, marker="o", ms=5,
        zorder=3, label="Pareto front, named by trial",
    )  # fmt: skip
    _name_front(ax, seconds, accuracy, np.array(data.trial_ids)[data.on_front][order])
    if data.best is not None:
        _best_rate(data.best, data.chance, ax)
    style.floor_line(ax, data.floor)
    style.legend_below(ax, columns=2)


def _name_front(ax: Axes, seconds: Array, accuracy: Array, names: npt.NDArray[np.str_]) -> None:
    """Name a trial where it takes over the front, if there is room beside the last name."""
    low, high = ax.get_xlim()
    last_named, last_at = "", -np.inf
    for at, height, name in zip(np.log(seconds), accuracy, names, strict=True):
        if name != last_named and at - last_at > 0.06 * np.log(high / low):
            ax.annotate(
                name, (np.exp(at), height), xytext=(-2, 6), textcoords="offset points",
                ha="right", fontsize=7, color=style.INK, zorder=5,
                bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
            )  # fmt: skip
            last_named, last_at = name, at


def _best_rate(best: tuple[float, float, str], chance: float, ax: Axes) -> None:
    """Mark the best report, and all points of equal (accuracy - chance) / seconds."""
    seconds, accuracy, trial_id = best
    rate = (accuracy - chance) / seconds
    limits = ax.get_xlim(), ax.get_ylim()
    grid = np.geomspace(*limits[0], 200)
    ax.scatter(
        [seconds], [accuracy], marker="*", s=170, color=style.COLOURS[1], edgecolor="white", lw=0.6,
        zorder=4, label=f"most accuracy per second: trial {trial_id}",
    )  # fmt: skip
    ax.plot(
        grid, chance + rate * grid, color=style.COLOURS[1], lw=1, ls=(0, (1, 1.5)), zorder=2,
        label=f"equally efficient: {rate:.3g} per second above chance",
    )  # fmt: skip
    ax.set(xlim=limits[0], ylim=limits[1])


@dataclass(frozen=True)
class Plot:
    """A plot as the report shows it."""

    name: str
    """Of its PNG file, without the ending."""
    how_to_read: str
    draw: Callable[[Run, Ranking, Axes], None]


PLOTS = (
    Plot(
        "accuracy-over-time",
        "Up and to the left is better. Coloured: the best trials of the ranking; grey: the others; "
        "dashed: the best of all trials by that time; dotted: the accuracy that a trial must reach "
        "to be ranked.",
        lambda run, ranking, ax: plot_curves(curves_data(run, ranking), ax),
    ),
    Plot(
        "accuracy-against-time",
        "Each point is one report of one trial. The blue steps join the reports that none beats in "
        "both time and accuracy; the star is the most efficient report above the floor, and "
        "along the dotted curve through it every point would be as efficient.",
        lambda run, ranking, ax: plot_front(front_data(run, ranking), ax),
    ),
)
"""Every plot of a report, in its order."""
