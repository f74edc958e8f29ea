"""How soon simulated searches knew a good trial: medians over repetitions, with bands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from analysis.plots import style
from analysis.plots.style import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAND = (25.0, 75.0)
"""Percentiles over the repetitions."""


def plot_best_so_far(instants: Array, best: Mapping[str, Array], ax: Axes) -> None:
    """Draw the best accuracy known over a search's seconds.

    Args:
        instants: seconds, rising.
        best: strategy → (repetitions, instants).
        ax: where to.
    """
    for place, (strategy, rows) in enumerate(best.items()):
        colour = style.COLOURS[place % len(style.COLOURS)]
        low, middle, high = np.percentile(rows, [BAND[0], 50.0, BAND[1]], axis=0)
        ax.fill_between(instants, low, high, step="post", color=colour, alpha=0.15, lw=0)
        ax.step(
            instants, middle, where="post", color=colour, label=strategy,
            ls=style.LINES[place % len(style.LINES)],
        )  # fmt: skip
    style.log_axis(ax, "x")
    ax.set_xlabel("seconds of the search (simulated, logarithmic)")
    ax.set_ylabel("best validation accuracy so far (share)")
    ax.set_ylim(bottom=_bottom(best))
    style.legend_below(ax, columns=min(len(best), 3))


def _bottom(best: Mapping[str, Array]) -> float:
    """Return where the axis begins: under most of what is known once anything is."""
    known = np.concatenate([rows[rows > 0] for rows in best.values()])
    return float(np.percentile(known, 2)) - 0.02 if len(known) else 0.0
