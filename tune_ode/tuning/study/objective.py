"""Objectives of a search: one or two values for each trial, computed from its reports."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from analysis.curves import anytime_area, first_instant
from tune_ode.records import Report

ObjectiveName = Literal["anytime", "accuracy", "pareto"]
Values = tuple[float, ...]

_MIN_SECONDS = 1e-3
"""Lower bound of seconds in logarithms: the clock of a simulated trial may show 0."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What the sampler optimizes."""

    name: ObjectiveName
    metrics: tuple[str, ...]
    """Name of each value, as Optuna's dashboard shows it."""
    directions: tuple[Literal["maximize", "minimize"], ...]
    values: Callable[[Sequence[Report], float | None], Values | None]
    """(reports, budget in train_seconds) → one value for each direction; None if not measured."""
    prunes: bool = False
    """Whether a trial stopped early is told as pruned with its intermediate values, since its
    final value is not comparable with that of a completed trial."""


def anytime_value(reports: Sequence[Report], budget: float | None) -> float | None:
    """Return the anytime area of a trial's curve, in [0, 1].

    None if no accuracy was measured, or without a budget, which is where the area ends.
    """
    measured = [report for report in reports if report.val_accuracy is not None]
    if not measured or budget is None:
        return None
    seconds = np.array([report.train_seconds for report in measured])
    accuracy = np.array([report.val_accuracy for report in measured])
    return float(anytime_area(seconds, accuracy, first=first_instant(budget), budget=budget))


def intermediate_values(
    reports: Sequence[Report], instants: Sequence[float] | None
) -> dict[int, float]:
    """Return the best validation accuracy so far at each step with a report.

    Args:
        reports: of a trial.
        instants: `train_seconds` at which trials report; a step is the number of instants that a
            report has reached. None: a step is an epoch.
    """
    values: dict[int, float] = {}
    best = 0.0
    for report in reports:
        if report.val_accuracy is not None:
            best = max(best, report.val_accuracy)
            values[int(report.epoch) if instants is None else _reached(report, instants)] = best
    return values


def _reached(report: Report, instants: Sequence[float]) -> int:
    return bisect.bisect_right(instants, report.train_seconds)


def _anytime(reports: Sequence[Report], budget: float | None) -> Values | None:
    value = anytime_value(reports, budget)
    return None if value is None else (value,)


def _accuracy(reports: Sequence[Report], budget: float | None) -> Values | None:
    best = _best_point(reports)
    return None if best is None else best[:1]


def _pareto(reports: Sequence[Report], budget: float | None) -> Values | None:
    best = _best_point(reports)
    return None if best is None else (best[0], math.log(max(best[1], _MIN_SECONDS)))


def _best_point(reports: Sequence[Report]) -> tuple[float, float] | None:
    """Return the best validation accuracy and the train_seconds at which it was first reached."""
    points = [(r.val_accuracy, r.train_seconds) for r in reports if r.val_accuracy is not None]
    return max(points, key=lambda point: (point[0], -point[1]), default=None)


OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {
        objective.name: objective
        for objective in (
            Objective(
                name="anytime", metrics=("anytime area",), directions=("maximize",), values=_anytime
            ),
            Objective(
                name="accuracy",
                metrics=("validation accuracy",),
                directions=("maximize",),
                values=_accuracy,
                prunes=True,
            ),
            # a stopped trial reached its accuracy in its seconds, so its point is valid
            Objective(
                name="pareto",
                metrics=("validation accuracy", "log seconds"),
                directions=("maximize", "minimize"),
                values=_pareto,
            ),
        )
    }
)
"""By name: anytime area; best accuracy; best accuracy and log-seconds to it."""
