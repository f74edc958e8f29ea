"""Accuracy over seconds: every trial's curve, and every report against the Pareto front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection

from analysis.curves import best_so_far
from analysis.load import Run
from analysis.params import compact_params
from analysis.plots import style
from analysis.plots.style import Array
from analysis.points import curve_points
from analysis.ranking import Ranking
from tune_ode.records import Outcome
from tune_ode.text import pluralize

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
    points = curve_points(run, ranking.clock)
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
    clock, trials = style.CLOCK_NAMES[data.clock], pluralize(count, "measured trial")
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
