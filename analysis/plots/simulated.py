"""Best accuracy over the seconds of simulated searches: medians and bands over repetitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from analysis.plots import style
from analysis.plots.style import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAND = (25.0, 75.0)
"""Percentiles over repetitions."""


def plot_best_so_far(instants: Array, best: Mapping[str, Array], ax: Axes) -> None:
    """Draw the best accuracy so far over the seconds of a search.

    Args:
        instants: (T,), seconds in ascending order.
        best: strategy → (repetitions, T).
        ax: axes to draw on.
    """
    for number, (strategy, rows) in enumerate(best.items()):
        colour = style.COLOURS[number % len(style.COLOURS)]
        low, middle, high = np.percentile(rows, [BAND[0], 50.0, BAND[1]], axis=0)
        ax.fill_between(instants, low, high, step="post", color=colour, alpha=0.15, lw=0)
        ax.step(
            instants, middle, where="post", color=colour, label=strategy,
            ls=style.LINES[number % len(style.LINES)],
        )  # fmt: skip
    style.log_axis(ax)
    ax.set_xlabel("seconds of the search (simulated, logarithmic)")
    ax.set_ylabel("best validation accuracy so far (share)")
    ax.set_ylim(bottom=_bottom(best))
    style.legend_below(ax, columns=min(len(best), 3))


def _bottom(best: Mapping[str, Array]) -> float:
    """Return the lower limit of the axis: just below all but the lowest 2% of accuracies."""
    known = np.concatenate([rows[rows > 0] for rows in best.values()])
    return float(np.percentile(known, 2)) - 0.02 if len(known) else 0.0
