"""The metrics that trials can be ranked by, and default targets and budgets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tune_ode.errors import UsageError, suggest_name
from tune_ode.text import parse_duration

_TARGETS = (
    0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999,
)  # fmt: skip
"""Default target accuracies, denser near 1, where gains are harder."""
_TARGETS_SHOWN = 4
_BUDGETS = (
    0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 3 * 3600.0,
    10 * 3600.0, 24 * 3600.0, 72 * 3600.0,
)  # fmt: skip
_BUDGETS_SHOWN = 6


@dataclass(frozen=True)
class Metric:
    """A column to rank by."""

    column: str
    """Column of `Ranking.table`."""
    ascending: bool = False
    """Whether lower is better."""
    floored: bool = True
    """Whether a trial must reach the floor to be ranked; otherwise any value ranks."""
    target: float | None = None
    budget: float | None = None


METRICS: Mapping[str, str] = MappingProxyType(
    {
        "accuracy_per_second": "accuracy_per_second",
        "anytime": "anytime",
        "accuracy": "best_accuracy",
        "seconds": "seconds_to_floor",
        "pareto": "pareto",
        "hypervolume": "hypervolume_contribution",
    }
)
"""Name → column. Higher is better, except for seconds."""
PARAMETRIC_METRICS = ("seconds@TARGET", "accuracy@BUDGET")
"""Metrics with a parameter: seconds to reach an accuracy, accuracy within a budget."""


def metric(by: str) -> Metric:
    """Return the metric with a name such as `anytime`, `seconds@0.95` or `accuracy@1m`.

    Raises:
        UsageError: unknown metric.
    """
    what, at, value = by.partition("@")
    if at and what == "seconds":
        target = parse_target(value)
        return Metric(seconds_to(target), ascending=True, floored=False, target=target)
    if at and what == "accuracy":
        budget = parse_duration(value)
        return Metric(accuracy_within(budget), floored=False, budget=budget)
    if at or what not in METRICS:
        raise UsageError(suggest_name("metric", by, [*METRICS, *PARAMETRIC_METRICS]))
    return Metric(METRICS[what], ascending=what == "seconds")


def seconds_to(target: float) -> str:
    """Return the name of the column with the seconds to a target accuracy."""
    return f"seconds_to_{target:g}"


def accuracy_within(budget: float) -> str:
    """Return the name of the column with the best accuracy within a budget."""
    return f"accuracy_within_{budget:g}s"


def parse_target(text: str) -> float:
    """Return the accuracy that `0.95` or `95%` stands for, in (0, 1].

    Raises:
        UsageError: not an accuracy in that range.
    """
    match = re.fullmatch(r"\s*(\d*\.?\d+)\s*(%?)\s*", text)
    target = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < target <= 1:
        raise UsageError(
            f"expected a target accuracy in (0, 1], such as 0.95 or 95%, found '{text}'"
        )
    return target


def parse_thresholds(text: str | None, parse: Callable[[str], float]) -> tuple[float, ...] | None:
    """Return the values of a list such as `0.9,0.95` or `10s,1m`, ascending; None for None.

    Raises:
        UsageError: an item cannot be parsed.
    """
    if text is None:
        return None
    return tuple(sorted({parse(part) for part in text.split(",") if part.strip()}))


def default_targets(best: float) -> tuple[float, ...]:
    """Return the highest default targets reached by an accuracy: 0.85 to 0.95 for 0.96."""
    return tuple(target for target in _TARGETS if target <= best)[-_TARGETS_SHOWN:]


def default_budgets(first: float, last: float) -> tuple[float, ...]:
    """Return default budgets between the first and the last measurement, about threefold apart."""
    within = [budget for budget in _BUDGETS if first <= budget < last]
    enough = next((budget for budget in _BUDGETS if budget >= last), None)
    budgets = [*within, *([enough] if enough is not None and enough >= first else [])]
    return tuple(budgets[-_BUDGETS_SHOWN:])


def with_threshold(values: Iterable[float], value: float | None) -> tuple[float, ...]:
    """Return values in ascending order, with one more unless it is None."""
    return tuple(sorted({*values, *([] if value is None else [value])}))
