"""What a search optimizes: one or two numbers a trial, from its report lines."""

from __future__ import annotations

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

_LEAST_SECONDS = 1e-3
"""The logarithm of a report's seconds ends here: a fake trial's clock may stand at 0."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What the sampler is told of a measured trial."""

    name: ObjectiveName
    directions: tuple[Literal["maximize", "minimize"], ...]
    values: Callable[[Sequence[Report], float | None], Values | None]
    """(report lines, budget in train_seconds) → one number a direction; None: not measured."""
    prunes: bool = False
    """Whether a trial stopped early is told as pruned, with its accuracy at every second, since
    its value is not comparable with that of a finished one."""


def anytime_value(lines: Sequence[Report], budget: float | None) -> float | None:
    """Return the anytime area of a trial's curve in [0, 1].

    None where nothing was measured, or where there is no budget to end the area.
    """
    measured = [line for line in lines if line.val_accuracy is not None]
    if not measured or budget is None:
        return None
    seconds = np.array([line.train_seconds for line in measured])
    accuracy = np.array([line.val_accuracy for line in measured])
    return float(anytime_area(seconds, accuracy, first=first_instant(budget), budget=budget))


def accuracy_by(lines: Sequence[Report], place: Callable[[Report], float]) -> dict[int, float]:
    """Return the best validation accuracy by each whole second, or epoch, that was reported.

    Args:
        lines: report lines of one trial, in order.
        place: the second or epoch a line stands at.
    """
    best: dict[int, float] = {}
    so_far = 0.0
    for line in lines:
        if line.val_accuracy is not None:
            so_far = max(so_far, line.val_accuracy)
            best[int(place(line))] = so_far
    return best


def _anytime(lines: Sequence[Report], budget: float | None) -> Values | None:
    value = anytime_value(lines, budget)
    return None if value is None else (value,)


def _accuracy(lines: Sequence[Report], budget: float | None) -> Values | None:
    point = _best_point(lines)
    return None if point is None else point[:1]


def _pareto(lines: Sequence[Report], budget: float | None) -> Values | None:
    point = _best_point(lines)
    return None if point is None else (point[0], math.log(max(point[1], _LEAST_SECONDS)))


def _best_point(lines: Sequence[Report]) -> tuple[float, float] | None:
    """Best validation accuracy, and the train_seconds at which it was first reached."""
    points = [(x.val_accuracy, x.train_seconds) for x in lines if x.val_accuracy is not None]
    return max(points, key=lambda point: (point[0], -point[1]), default=None)


OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {
        objective.name: objective
        for objective in (
            Objective(name="anytime", directions=("maximize",), values=_anytime),
            Objective(name="accuracy", directions=("maximize",), values=_accuracy, prunes=True),
            # a stopped trial did reach its accuracy in its seconds: its point is a measurement
            Objective(name="pareto", directions=("maximize", "minimize"), values=_pareto),
        )
    }
)
"""By name: the anytime area; the best accuracy; accuracy up and log-seconds down."""
