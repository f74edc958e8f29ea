"""Plots of a confirmation: intervals of the candidates, and accuracy under other solvers."""

from __future__ import annotations

import math
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
                [one for one in confirmation.candidates if one.test.count] or None,
                plot_intervals,
                lambda candidates: 1.9 + 0.5 * len(candidates),
            ),
        ),
        Plot(
            "solved-otherwise",
            "Further up and left is better. Points: the trained models under other solvers; star: "
            "the solver of the training; steps: best accuracy within a number of evaluations. "
            "Steps as high as the star to its left: cheaper predictions at no loss. Points below "
            "the star to its right: a discrete network, not an ODE.",
            lambda: one_panel(
                [one for one in confirmation.candidates[:_MAX_SOLVED] if one.solved] or None,
                plot_solved,
            ),
        ),
    )


def plot_intervals(candidates: list[Candidate], figure: Figure) -> None:
    """Plot accuracy per second and accuracies with intervals, and the figures of the search."""
    ((left, right),) = style.grid(figure, 1, 2, gap=(0.25, 0.0), sharey=True)
    heights = np.arange(len(candidates), dtype=float)
    left.set_yticks(heights, [_label(one) for one in candidates], fontsize=8)
    _errorbars(left, heights, candidates, "accuracy_per_second", 0, "mean and 95% interval")
    _diamonds(left, heights, [one.search_rate for one in candidates])
    for one in candidates:
        if one.is_default and one.reached:
            rate = math.exp(one.log_value)
            left.axvline(rate, color=style.INK, lw=0.8, ls=":", label="mean of the default")
    style.log_axis(left)
    left.set_xlabel("accuracy per second (1/s, logarithmic)")
    _errorbars(right, heights - 0.12, candidates, "test_accuracy", 1, "test set")
    _errorbars(right, heights + 0.12, candidates, "val_accuracy", 0, "validation split")
    _diamonds(right, heights + 0.12, [one.search_accuracy for one in candidates])
    right.set_xlabel("accuracy (share)")
    right.tick_params(axis="y", length=0)
    for ax in (left, right):
        ax.set_ylim(len(candidates) - 0.5, -0.5)
        ax.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=8,
            borderaxespad=0.2,
        )  # fmt: skip
    style.heading(
        figure,
        f"Confirmed on fresh seeds: {pluralize(len(candidates), 'configuration')}",
        above=0.5,
    )


def _errorbars(
    ax: Axes, heights: Array, candidates: list[Candidate], name: str, look: int, label: str
) -> None:
    figures = [one.to_dict() for one in candidates]
    mean, low, high = (
        np.array([row[key] for row in figures], dtype=float)
        for key in (name, f"{name}_low", f"{name}_high")
    )
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


def plot_solved(candidates: list[Candidate], ax: Axes) -> None:
    """Plot the accuracy of models under other solvers, and the best within each cost."""
    style.log_axis(ax)
    ax.set_xlabel("evaluations of the ODE function per batch, all blocks (logarithmic)")
    ax.set_ylabel("validation accuracy (share)")
    ax.set_title("Trained models under cheaper and finer solvers", loc="left")
    for one, colour, marker in zip(candidates, style.COLOURS, style.MARKERS, strict=False):
        points = sorted((score.evaluations, score.accuracy) for score in one.solved)
        evaluations, accuracy = np.transpose(points)
        ax.scatter(evaluations, accuracy, s=14, color=colour, marker=marker, alpha=0.45, lw=0)
        ax.plot(
            evaluations, np.maximum.accumulate(accuracy), drawstyle="steps-post", color=colour,
            lw=1.4, label=style.truncate(_label(one) + ", discrete" * one.discrete, 60),
        )  # fmt: skip
        for own in (score for score in one.solved if score.own):
            ax.scatter(
                own.evaluations, own.accuracy, marker="*", s=150, color=colour, edgecolor="white",
                lw=0.6, zorder=4,
            )  # fmt: skip
    style.legend_below(ax, columns=2)


def _label(one: Candidate) -> str:
    text = "default" if one.is_default else style.truncate(compact_params(one.params), 24)
    return f"{one.trial_id}  {text}" if one.trial_id.isdigit() else one.trial_id
