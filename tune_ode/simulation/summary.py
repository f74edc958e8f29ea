"""What repeated simulations say of their strategies: intervals, not single searches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.curves import anytime_area, first_instant, hypervolume, seconds_to
from analysis.statistics import Sample
from tune_ode.simulation.recordings import Recordings
from tune_ode.simulation.simulate import Simulated, SimulationOptions, Strategy

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StrategySummary:
    """One strategy over all its repetitions."""

    strategy: str
    area: list[float]
    """Of each repetition: mean best-so-far accuracy over the logarithm of the search's seconds,
    from a hundredth of the horizon to its end; in [0, 1], more is better."""
    hypervolume: list[float]
    """Of each: the share of (log train_seconds, accuracy) that its trials' curves dominate."""
    best: list[float]
    """Of each: best validation accuracy."""
    trials: list[int]
    stopped: list[int]
    seconds: list[float]
    """Simulated."""
    to_target: dict[str, list[float | None]]
    """Target → of each repetition, the search's seconds until a trial reached it; null: never."""


@dataclass(frozen=True)
class Summary:
    """All strategies, the first of which the others are compared with."""

    horizon: float
    """Simulated seconds that areas end at: the time budget, else the longest search."""
    targets: list[float]
    strategies: list[StrategySummary]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def summarize(
    found: Mapping[Strategy, Sequence[Simulated]],
    recordings: Recordings,
    question: SimulationOptions,
    targets: Sequence[float],
) -> Summary:
    """Summarize the repetitions of every strategy."""
    horizon = question.time_budget or max(
        one.seconds for searches in found.values() for one in searches
    )
    budget = question.trial_seconds or recordings.trial_seconds
    longest = max(
        (each.train_seconds for every in found.values() for one in every for each in one.learned),
        default=1.0,
    )
    return Summary(
        horizon=horizon,
        targets=list(targets),
        strategies=[
            _summary(strategy, searches, horizon, budget or longest, targets)
            for strategy, searches in found.items()
        ],
    )


def gain(one: StrategySummary, other: StrategySummary) -> Sample:
    """Return by how much an area exceeds another: repetitions of one number share their seed."""
    return Sample.of(np.subtract(one.area, other.area))


def best_so_far_at(searches: Sequence[Simulated], instants: Array) -> Array:
    """Return the best accuracy that each search knew at each instant, (searches, instants).

    0 before anything was known.
    """
    rows = []
    for search in searches:
        at, accuracy = _curve(search)
        best = np.concatenate([[0.0], np.maximum.accumulate(accuracy)])
        rows.append(best[np.searchsorted(at, instants, side="right")])
    return np.array(rows)


def _summary(
    strategy: Strategy,
    searches: Sequence[Simulated],
    horizon: float,
    budget: float,
    targets: Sequence[float],
) -> StrategySummary:
    curves = [_curve(search) for search in searches]
    return StrategySummary(
        strategy=str(strategy),
        area=[
            anytime_area(*curve, first=first_instant(horizon), budget=horizon) for curve in curves
        ],
        hypervolume=[_hypervolume(search, budget) for search in searches],
        best=[float(accuracy.max(initial=0.0)) for _, accuracy in curves],
        trials=[search.trials for search in searches],
        stopped=[search.stopped for search in searches],
        seconds=[search.seconds for search in searches],
        to_target={
            f"{target:g}": [_or_none(seconds_to(*curve, target)) for curve in curves]
            for target in targets
        },
    )


def _curve(search: Simulated) -> tuple[Array, Array]:
    at = np.array([one.at for one in search.learned])
    return at, np.array([one.val_accuracy for one in search.learned])


def _hypervolume(search: Simulated, budget: float) -> float:
    if not search.learned:
        return 0.0
    seconds = np.array([one.train_seconds for one in search.learned])
    accuracy = np.array([one.val_accuracy for one in search.learned])
    owners = np.array([int(one.trial_id) for one in search.learned])
    return hypervolume(seconds, accuracy, owners, first=first_instant(budget), budget=budget)[0]


def _or_none(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None
