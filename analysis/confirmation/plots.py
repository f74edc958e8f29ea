"""Plots of a confirmation: intervals of the candidates, and accuracy under other solvers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.confirmation.data import Candidate, ConfirmationSummary
from analysis.params import compact_params
from analysis.plots import style
from analysis.plots.plot import Plot, one_panel, several_panels
from analysis.plots.style import Array
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_SOLVED = 6
"""Candidates in the plot of other solvers; more colours are hard to distinguish."""


@dataclass(frozen=True)
class IntervalRow:
    """Figures of a candidate: 95% intervals as (mean, low, high), and those of the search."""

    label: str
    is_default: bool
    rate: tuple[float, float, float]
    """Accuracy per second; NaN if no training reached the floor."""
    search_rate: float
    test: tuple[float, float, float]
    val: tuple[float, float, float]
    search_accuracy: float


@dataclass(frozen=True)
class SolvedLine:
    """Models of a candidate under several solvers, by number of evaluations."""

    label: str
    evaluations: Array
    """Function evaluations per batch, summed over blocks."""
    accuracy: Array
    own: tuple[float, float] | None
    """Evaluations and accuracy with the solver of the training."""


def confirmation_plots(confirmation: ConfirmationSummary) -> tuple[Plot[[]], ...]:
    """Return the plots of a confirmation."""
    return (
        Plot(
            "confirmed",
            "Further right is better. Points: retrained configurations with the 95% interval of "
            "the mean over seeds; hollow diamonds: what the search reported. A diamond to the "
            "right of its point shows selection bias; the order of candidates with overlapping "
            "bars is uncertain.",
            lambda: several_panels(
                interval_rows(confirmation) or None,
                plot_intervals,
                lambda rows: 1.9 + 0.5 * len(rows),
            ),
        ),
        Plot(
            "solved-otherwise",
            "Further up and left is better. Points: the trained models under other solvers; star: "
            "the solver of the training; steps: best accuracy within a number of evaluations. "
            "Steps as high as the star to its left: cheaper predictions at no loss. Points below "
            "the star to its right: a discrete network, not an ODE.",
            lambda: one_panel(solved_lines(confirmation) or None, plot_solved),
        ),
    )


def interval_rows(confirmation: ConfirmationSummary) -> list[IntervalRow]:
    """Return the intervals of every candidate with a completed training, best first."""
    return [_interval_row(one) for one in confirmation.candidates if one.test.count]


def _interval_row(one: Candidate) -> IntervalRow:
    figures = one.to_dict()

    def interval(name: str) -> tuple[float, float, float]:
        found = (figures[name], figures[f"{name}_low"], figures[f"{name}_high"])
        mean, low, high = (math.nan if value is None else float(value) for value in found)
        return mean, low, high

    return IntervalRow(
        label=_label(one),
        is_default=one.is_default,
        rate=interval("accuracy_per_second"),
        search_rate=one.search_rate,
        test=interval("test_accuracy"),
        val=interval("val_accuracy"),
        search_accuracy=one.search_accuracy,
    )


def plot_intervals(rows: list[IntervalRow], figure: Figure) -> None:
    """Plot accuracy per second and accuracies with intervals, and the figures of the search."""
    ((left, right),) = style.grid(figure, 1, 2, gap=(0.25, 0.0), sharey=True)
    default = next((row for row in rows if row.is_default), None)
    heights = np.arange(len(rows), dtype=float)
    for ax in (left, right):
        ax.set_ylim(len(rows) - 0.5, -0.5)
    left.set_yticks(heights, [row.label for row in rows], fontsize=8)
    _errorbars(left, heights, [row.rate for row in rows], 0, "confirmed, mean and 95% interval")
    _diamonds(left, heights, [row.search_rate for row in rows])
    if default is not None and math.isfinite(default.rate[0]):
        left.axvline(default.rate[0], color=style.INK, lw=0.8, ls=":", label="mean of the default")
    style.log_axis(left, "x")
    left.set_xlabel("accuracy per second (1/s, logarithmic)")
    _errorbars(right, heights - 0.12, [row.test for row in rows], 1, "test set")
    _errorbars(right, heights + 0.12, [row.val for row in rows], 0, "validation split")
    _diamonds(right, heights + 0.12, [row.search_accuracy for row in rows])
    right.set_xlabel("accuracy (share)")
    right.tick_params(axis="y", length=0)
    for ax in (left, right):
        ax.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=8,
            borderaxespad=0.2,
        )  # fmt: skip
    style.heading(
        figure, f"Confirmed on fresh seeds: {pluralize(len(rows), 'configuration')}", above=0.5
    )


def _errorbars(
    ax: Axes, heights: Array, intervals: list[tuple[float, float, float]], look: int, label: str
) -> None:
    mean, low, high = np.array(intervals).T
    errors = np.nan_to_num(np.abs(np.array([mean - low, high - mean])))
    ax.errorbar(
        mean, heights, xerr=errors, fmt=style.MARKERS[look], color=style.COLOURS[look], ms=5,
        lw=1.4, capsize=3, label=label,
    )  # fmt: skip


def _diamonds(ax: Axes, heights: Array, values: list[float]) -> None:
    ax.scatter(
        values, heights, marker="D", s=34, facecolors="none", edgecolors=style.OTHERS, lw=1.2,
        label="in the search", zorder=3,
    )  # fmt: skip


def solved_lines(confirmation: ConfirmationSummary) -> list[SolvedLine]:
    """Return accuracy by evaluations of the best candidates that were solved otherwise."""
    lines = []
    for one in confirmation.candidates[:_MAX_SOLVED]:
        by_cost = sorted(one.solved, key=lambda score: (score.evaluations, score.accuracy))
        own = next((score for score in one.solved if score.own), None)
        if by_cost:
            lines.append(
                SolvedLine(
                    label=_label(one) + ", discrete" * one.discrete,
                    evaluations=np.array([score.evaluations for score in by_cost]),
                    accuracy=np.array([score.accuracy for score in by_cost]),
                    own=(own.evaluations, own.accuracy) if own else None,
                )
            )
    return lines


def plot_solved(lines: list[SolvedLine], ax: Axes) -> None:
    """Plot the accuracy of models under other solvers, and the best within each cost."""
    style.log_axis(ax, "x")
    ax.set_xlabel("evaluations of the ODE function per batch, all blocks (logarithmic)")
    ax.set_ylabel("validation accuracy (share)")
    ax.set_title("Trained models under cheaper and finer solvers", loc="left")
    for line, colour, marker in zip(lines, style.COLOURS, style.MARKERS, strict=False):
        ax.scatter(
            line.evaluations, line.accuracy, s=14, color=colour, marker=marker, alpha=0.45, lw=0
        )
        ax.plot(
            line.evaluations, np.maximum.accumulate(line.accuracy), drawstyle="steps-post",
            color=colour, lw=1.4, label=style.shortened(line.label, 60),
        )  # fmt: skip
        if line.own is not None:
            ax.scatter(
                *line.own, marker="*", s=150, color=colour, edgecolor="white", lw=0.6, zorder=4
            )
    style.legend_below(ax, columns=2)


def _label(one: Candidate) -> str:
    text = "default" if one.is_default else style.shortened(compact_params(one.params), 24)
    return f"{one.trial_id}  {text}" if one.trial_id.isdigit() else one.trial_id
