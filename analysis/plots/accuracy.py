"""Accuracy over seconds: the curve of every trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection

from analysis.curves import best_so_far
from analysis.load import Run
from analysis.params import compact_params, varied_params
from analysis.plots import style
from analysis.plots.style import Array
from analysis.ranking import Ranking
from analysis.ranking.points import CLOCK_NAMES, curve_points
from tune_ode.records import Outcome
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HIGHLIGHTED = 5
"""Number of trials at the top of the ranking that get a colour each."""
BROKEN = (Outcome.DIVERGED, Outcome.OUT_OF_MEMORY, Outcome.FAILED)
"""Outcomes of trials that could not continue."""


@dataclass(frozen=True)
class TrialCurve:
    """The curve of a trial."""

    trial_id: str
    label: str
    """Rank and parameters, for the legend; empty unless the trial is highlighted."""
    seconds: Array
    accuracy: Array
    broken: bool
    """Whether the outcome is one of `BROKEN`."""


@dataclass(frozen=True)
class CurvesData:
    """Input of `plot_curves`."""

    highlighted: tuple[TrialCurve, ...]
    """The best trials, in ranking order."""
    others: tuple[TrialCurve, ...]
    envelope: tuple[Array, Array]
    """Seconds, and the best accuracy of any trial up to then."""
    floor: float
    clock: str


def curves_data(run: Run, ranking: Ranking) -> CurvesData | None:
    """Return the curve of every trial and the envelope of all."""
    points = curve_points(run, ranking.clock)
    curves = _by_trial(points)
    rows = [row for row in ranking.to_records() if row["trial_id"] in curves]
    if not rows:
        return None
    # if no trial is ranked: those closest to the floor
    best = [row for row in rows if row["rank"] is not None][:HIGHLIGHTED] or rows[:HIGHLIGHTED]
    varied = varied_params([row["params"] for row in best])
    several = len(ranking.devices) > 1
    labels = {
        row["trial_id"]: f"{row['rank'] or '–'}.  {row['trial_id']}  "
        + (f"on {row['device']}: " if several else "")
        + compact_params({n: value for n, value in row["params"].items() if n in varied})
        for row in best
    }
    trials = [
        TrialCurve(
            row["trial_id"], labels.get(row["trial_id"], ""), *curves[row["trial_id"]],
            broken=row["outcome"] in BROKEN,
        )
        for row in rows
    ]  # fmt: skip
    return CurvesData(
        highlighted=tuple(curve for curve in trials if curve.label),
        others=tuple(curve for curve in trials if not curve.label),
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


def plot_curves(data: CurvesData, ax: Axes) -> None:
    """Draw validation accuracy over seconds, one line per trial."""
    seconds, best = data.envelope
    count = len(data.highlighted) + len(data.others)
    style.accuracy_over_seconds(ax, data.clock)
    clock, trials = CLOCK_NAMES[data.clock], pluralize(count, "measured trial")
    ax.set_title(f"Validation accuracy over {clock}: {trials}, best {best[-1]:.4f}", loc="left")
    others = [np.column_stack([curve.seconds, curve.accuracy]) for curve in data.others]
    faint = style.crowd_alpha(count)
    # One collection, since a thousand line objects take seconds to draw.
    ax.add_collection(
        LineCollection(others, color=style.OTHERS, lw=0.8, alpha=faint, zorder=1, rasterized=True)
    )
    if others:
        points = np.concatenate(others)
        ax.scatter(points[:, 0], points[:, 1], s=3, color=style.OTHERS, alpha=faint, lw=0, zorder=1)
    ax.step(
        seconds, best, where="post", color=style.INK, lw=1.2, ls=(0, (4, 2)), zorder=3,
        label="best of all trials so far",
    )  # fmt: skip
    for curve, colour, marker in zip(data.highlighted, style.COLOURS, style.MARKERS, strict=False):
        ax.plot(
            curve.seconds, curve.accuracy, color=colour, marker=marker, ms=4, lw=1.6,
            label=style.truncate(curve.label), zorder=4,
        )  # fmt: skip
    broken = [curve for curve in (*data.highlighted, *data.others) if curve.broken]
    if broken:
        ax.scatter(
            [curve.seconds[-1] for curve in broken], [curve.accuracy[-1] for curve in broken],
            marker="x", s=45 * faint, color=style.INK, lw=1, zorder=5,
            label="last report of a trial that diverged, ran out of memory or failed",
        )  # fmt: skip
    ax.autoscale_view()
    style.floor_line(ax, data.floor)
    style.legend_below(ax, columns=1)
