"""What a confirmation found: intervals of the re-ranked, and models solved in other ways."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.confirmed import Candidate
from analysis.load import Run
from analysis.load_confirmed import load_confirmed
from analysis.params import compact_params
from analysis.plots import style
from analysis.plots.style import Array
from analysis.ranking import Ranking
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_SOLVED = 6
"""Candidates drawn as solved otherwise: so many colours are told apart."""


@dataclass(frozen=True)
class IntervalRow:
    """A candidate's 95% intervals, as (mean, low, high), and what the search had said."""

    label: str
    is_default: bool
    rate: tuple[float, float, float]
    """Accuracy per second; NaN where it never reached the floor."""
    searched_rate: float
    test: tuple[float, float, float]
    val: tuple[float, float, float]
    searched_accuracy: float


@dataclass(frozen=True)
class ConfirmedData:
    """What `plot_confirmed` draws, best first."""

    rows: tuple[IntervalRow, ...]


@dataclass(frozen=True)
class SolvedLine:
    """A candidate's models, solved in many ways: by evaluations."""

    label: str
    evaluations: Array
    """Per batch, all blocks."""
    accuracy: Array
    own: tuple[float, float] | None
    """With the solver that it was trained with."""


@dataclass(frozen=True)
class SolvedData:
    """What `plot_solved` draws."""

    lines: tuple[SolvedLine, ...]


def confirmed_data(run: Run, ranking: Ranking) -> ConfirmedData | None:
    """Collect the intervals of every candidate; None where nothing is confirmed."""
    confirmed = load_confirmed(run, ranking)
    if confirmed is None:
        return None
    rows = tuple(_row(one) for one in confirmed.candidates if one.test.count)
    return ConfirmedData(rows) if rows else None


def _row(one: Candidate) -> IntervalRow:
    figures = one.figures()

    def bounds(name: str) -> tuple[float, float, float]:
        found = (figures[name], figures[f"{name}_low"], figures[f"{name}_high"])
        mean, low, high = (math.nan if value is None else float(value) for value in found)
        return mean, low, high

    return IntervalRow(
        label=_name(one),
        is_default=one.is_default,
        rate=bounds("accuracy_per_second"),
        searched_rate=one.search_rate,
        test=bounds("test_accuracy"),
        val=bounds("val_accuracy"),
        searched_accuracy=one.search_accuracy,
    )


def plot_confirmed(data: ConfirmedData, figure: Figure) -> None:
    """Draw accuracy per second and accuracies with their intervals, beside what the search said."""
    left, right = figure.subplots(1, 2, sharey=True)
    default = next((row for row in data.rows if row.is_default), None)
    places = np.arange(len(data.rows), dtype=float)
    for ax in (left, right):
        style.plain(ax)
        ax.set_ylim(len(data.rows) - 0.5, -0.5)
    left.set_yticks(places, [row.label for row in data.rows], fontsize=8)
    _errors(left, places, [row.rate for row in data.rows], 0, "confirmed, mean and 95% interval")
    _hollow(left, places, [row.searched_rate for row in data.rows], "the search's number")
    if default is not None and math.isfinite(default.rate[0]):
        left.axvline(default.rate[0], color=style.INK, lw=0.8, ls=":", label="the default's mean")
    style.log_axis(left, "x")
    left.set_xlabel("accuracy per second (1/s, logarithmic)")
    _errors(right, places - 0.12, [row.test for row in data.rows], 1, "test set")
    _errors(right, places + 0.12, [row.val for row in data.rows], 0, "validation split")
    _hollow(
        right, places + 0.12, [row.searched_accuracy for row in data.rows], "the search's number"
    )
    right.set_xlabel("accuracy (share)")
    right.tick_params(axis="y", length=0)
    for ax in (left, right):
        ax.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=8,
            borderaxespad=0.2,
        )  # fmt: skip
    figure.suptitle(
        f"Confirmed on fresh seeds: {pluralize(len(data.rows), 'configuration')}", x=0.01,
        ha="left", fontsize=12,
    )  # fmt: skip


def _errors(
    ax: Axes, places: Array, bounds: list[tuple[float, float, float]], colour: int, label: str
) -> None:
    mean, low, high = np.array(bounds).T
    beside = np.abs(np.array([mean - low, high - mean]))
    beside[~np.isfinite(beside)] = 0.0
    ax.errorbar(
        mean, places, xerr=beside, fmt=style.MARKERS[colour], color=style.COLOURS[colour], ms=5,
        lw=1.4, capsize=3, label=label,
    )  # fmt: skip


def _hollow(ax: Axes, places: Array, values: list[float], label: str) -> None:
    ax.scatter(
        values, places, marker="D", s=34, facecolors="none", edgecolors=style.OTHERS, lw=1.2,
        label=label, zorder=3,
    )  # fmt: skip


def solved_data(run: Run, ranking: Ranking) -> SolvedData | None:
    """Collect accuracies by evaluations of every candidate; None where there are none."""
    confirmed = load_confirmed(run, ranking)
    if confirmed is None:
        return None
    lines = []
    for one in confirmed.candidates[:_MOST_SOLVED]:
        if not one.solved:
            continue
        by_cost = sorted(one.solved, key=lambda solved: (solved.evaluations, solved.accuracy))
        own = next((solved for solved in one.solved if solved.own), None)
        lines.append(
            SolvedLine(
                label=f"{_name(one)}{', discrete' if one.discrete else ''}",
                evaluations=np.array([solved.evaluations for solved in by_cost]),
                accuracy=np.array([solved.accuracy for solved in by_cost]),
                own=None if own is None else (own.evaluations, own.accuracy),
            )
        )
    return SolvedData(tuple(lines)) if lines else None


def plot_solved(data: SolvedData, ax: Axes) -> None:
    """Draw every way to solve each model, its best within each cost, and its own solver."""
    style.log_axis(ax, "x")
    ax.set_xlabel("evaluations of the ODE function per batch, all blocks (logarithmic)")
    ax.set_ylabel("validation accuracy (share)")
    ax.set_title("Trained models, solved cheaper and finer", loc="left")
    for line, colour, marker in zip(data.lines, style.COLOURS, style.MARKERS, strict=False):
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


def _name(one: Candidate) -> str:
    what = "default" if one.is_default else style.shortened(compact_params(one.params), 24)
    return f"{one.trial_id}  {what}" if one.trial_id.isdigit() else one.trial_id
