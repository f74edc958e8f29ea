"""Summaries of repeated simulated searches, for comparing strategies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.curves import anytime_area, first_instant, hypervolume, seconds_to
from analysis.statistics import Sample
from tune_ode.simulation.recordings import Recordings
from tune_ode.simulation.simulate import SimulatedSearch, SimulationOptions, Strategy

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StrategySummary:
    """Results of one strategy; lists have one item for each repetition."""

    strategy: str
    area: list[float]
    """Mean best-so-far accuracy over log-seconds of the search, from a thousandth of it to
    its end, in [0, 1]."""
    hypervolume: list[float]
    """Fraction of (log train_seconds, accuracy) that the curves of its trials dominate."""
    best: list[float]
    """Best validation accuracy."""
    trials: list[int]
    stopped: list[int]
    seconds: list[float]
    """Simulated duration of the search."""
    to_target: dict[str, list[float | None]]
    """Target → seconds of the search until a trial reached it; null if none did."""


@dataclass(frozen=True)
class Summary:
    """All strategies; the first is the baseline."""

    horizon: float
    """Simulated seconds at which areas end: the time budget, or the longest search."""
    targets: list[float]
    strategies: list[StrategySummary]


def summarize(
    results: Mapping[Strategy, Sequence[SimulatedSearch]],
    recordings: Recordings,
    options: SimulationOptions,
    targets: Sequence[float],
) -> Summary:
    """Summarize the repetitions of every strategy."""
    searches = [search for repetitions in results.values() for search in repetitions]
    horizon = options.time_budget or max(search.seconds for search in searches)
    trained = (point.train_seconds for search in searches for point in search.observations)
    budget = options.trial_seconds or recordings.trial_seconds or max(trained, default=1.0)
    return Summary(
        horizon=horizon,
        targets=list(targets),
        strategies=[
            _summary(strategy, repetitions, horizon, budget, targets)
            for strategy, repetitions in results.items()
        ],
    )


def gain(strategy: StrategySummary, baseline: StrategySummary) -> Sample:
    """Return the paired differences of areas; equal repetitions have equal seeds."""
    return Sample.of(np.subtract(strategy.area, baseline.area))


def best_so_far_at(searches: Sequence[SimulatedSearch], instants: Array) -> Array:
    """Return each search's best accuracy at each instant, (searches, instants); 0 before any."""
    rows = []
    for search in searches:
        times, accuracy = _curve(search)
        best = np.concatenate([[0.0], np.maximum.accumulate(accuracy)])
        rows.append(best[np.searchsorted(times, instants, side="right")])
    return np.array(rows)


def _summary(
    strategy: Strategy,
    searches: Sequence[SimulatedSearch],
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


def _curve(search: SimulatedSearch) -> tuple[Array, Array]:
    times = np.array([point.time for point in search.observations])
    return times, np.array([point.val_accuracy for point in search.observations])


def _hypervolume(search: SimulatedSearch, budget: float) -> float:
    if not search.observations:
        return 0.0
    seconds = np.array([point.train_seconds for point in search.observations])
    accuracy = np.array([point.val_accuracy for point in search.observations])
    owners = np.array([int(point.trial_id) for point in search.observations])
    return hypervolume(seconds, accuracy, owners, first=first_instant(budget), budget=budget)[0]


def _or_none(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None
