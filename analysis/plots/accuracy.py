"""Accuracy over seconds: every trial's curve, and every report against the Pareto front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.collections import LineCollection

from analysis.curves import best_so_far, pareto_front
from analysis.load import Run
from analysis.params import compact_params
from analysis.plots import style
from analysis.plots.style import Array
from analysis.rank import Ranking, measured
from tune_ode.records import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HIGHLIGHTED = 5
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


def curves_data(run: Run, ranking: Ranking) -> CurvesData | None:
    """Collect every trial's accuracy over seconds, and the envelope of them all."""
    points = measured(run, ranking.clock)
    curves = _by_trial(points)
    rows = [row for row in ranking.to_records() if row["trial_id"] in curves]
    if not rows:
        return None
    # where nothing is ranked, the nearest to the floor
    best = [row for row in rows if row["rank"] is not None][:HIGHLIGHTED] or rows[:HIGHLIGHTED]
    differ = differing([row["params"] for row in best])
    several = len(ranking.devices) > 1
    labels = {
        row["trial_id"]: f"{row['rank'] or '–'}.  {row['trial_id']}  "
        + (f"on {row['device']}: " if several else "")
        + compact_params({n: value for n, value in row["params"].items() if n in differ})
        for row in best
    }
    lines = [
        CurveLine(
            row["trial_id"], labels.get(row["trial_id"], ""), *curves[row["trial_id"]],
            broken=row["outcome"] in BROKEN,
        )
        for row in rows
    ]  # fmt: skip
    return CurvesData(
        highlighted=tuple(line for line in lines if line.label),
        others=tuple(line for line in lines if not line.label),
        envelope=best_so_far(points["seconds"].to_numpy(), points["accuracy"].to_numpy()),
        floor=ranking.floor,
        clock=ranking.clock,
    )


def _by_trial(points: pd.DataFrame) -> dict[str, tuple[Array, Array]]:
    seconds, accuracy = points["seconds"].to_numpy(), points["accuracy"].to_numpy()
    starts = np.flatnonzero(np.diff(points["trial"].to_numpy(), prepend=-1))
    ends = np.append(starts, len(points))[1:]
    ids = points["trial_id"].to_numpy()[starts]
    return {
        str(name): (seconds[start:end], accuracy[start:end])
        for name, start, end in zip(ids, starts, ends, strict=True)
    }


def differing(params: list[dict[str, Any]]) -> set[str]:
    """Return the names that tell trials apart; all of them where there is but one trial."""
    names = {name for searched in params for name in searched}
    values = {name: {repr(searched.get(name)) for searched in params} for name in names}
    return {name for name in names if len(params) == 1 or len(values[name]) > 1}


def plot_curves(data: CurvesData, ax: Axes) -> None:
    """Draw validation accuracy over seconds, a line a trial."""
    seconds, best = data.envelope
    count = len(data.highlighted) + len(data.others)
    style.accuracy_over_seconds(ax, data.clock)
    clock, trials = style.CLOCK_NAMES[data.clock], style.counted(count, "measured trial")
    ax.set_title(f"Validation accuracy over {clock}: {trials}, best {best[-1]:.4f}", loc="left")
    curves = [np.column_stack([line.seconds, line.accuracy]) for line in data.others]
    faint = style.faint(count)
    # one collection, since a thousand line objects take seconds to draw
    ax.add_collection(
        LineCollection(curves, color=style.OTHERS, lw=0.8, alpha=faint, zorder=1, rasterized=True)
    )
    if curves:
        every = np.concatenate(curves)
        ax.scatter(every[:, 0], every[:, 1], s=3, color=style.OTHERS, alpha=faint, lw=0, zorder=1)
    ax.step(
        seconds, best, where="post", color=style.INK, lw=1.2, ls=(0, (4, 2)), zorder=3,
        label="best of all trials so far",
    )  # fmt: skip
    for line, colour, marker in zip(data.highlighted, style.COLOURS, style.MARKERS, strict=False):
        ax.plot(
            line.seconds, line.accuracy, color=colour, marker=marker, ms=4, lw=1.6,
            label=style.shortened(line.label), zorder=4,
        )  # fmt: skip
    broken = [line for line in (*data.highlighted, *data.others) if line.broken]
    if broken:
        ax.scatter(
            [line.seconds[-1] for line in broken], [line.accuracy[-1] for line in broken],
            marker="x", s=45 * faint, color=style.INK, lw=1, zorder=5,
            label="last report of a trial that diverged, ran out of memory or failed",
        )  # fmt: skip
    ax.autoscale_view()
    style.floor_line(ax, data.floor)
    style.legend_below(ax, columns=1)


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
    points = measured(run, ranking.clock)
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
    trials = style.counted(len(set(data.trial_ids)), "measured trial")
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
