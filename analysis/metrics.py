"""What trials can be ranked by, and the ladders of targets and budgets beside it."""

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
"""Accuracies that people ask for, closer towards the end, where each is worth more."""
_TARGETS_SHOWN = 4
_BUDGETS = (
    0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 3 * 3600.0,
    10 * 3600.0, 24 * 3600.0, 72 * 3600.0,
)  # fmt: skip
_BUDGETS_SHOWN = 6


@dataclass(frozen=True)
class Measure:
    """A column to rank by."""

    name: str
    """As in `--by`."""
    column: str
    """Of a ranking's table."""
    ascending: bool = False
    """Whether less is better."""
    floored: bool = True
    """Whether a trial must reach the floor; otherwise it must only have a value."""
    target: float | None = None
    budget: float | None = None


MEASURES: Mapping[str, str] = MappingProxyType(
    {
        "accuracy_per_second": "accuracy_per_second",
        "anytime": "anytime",
        "accuracy": "best_accuracy",
        "seconds": "seconds_to_floor",
        "pareto": "pareto",
        "hypervolume": "hypervolume_contribution",
    }
)
"""What can be ranked by → its column; more is better, but for seconds."""
LADDERS = ("seconds@TARGET", "accuracy@BUDGET")
"""Measures with a value of their own: seconds to an accuracy, accuracy within a time."""


def measure(by: str) -> Measure:
    """Return the measure of a name, such as `anytime`, `seconds@0.95` or `accuracy@1m`.

    Raises:
        QuestionError: there is none of that name.
    """
    what, at, value = by.partition("@")
    if at and what == "seconds":
        target = parse_target(value)
        return Measure(by, seconds_to(target), ascending=True, floored=False, target=target)
    if at and what == "accuracy":
        budget = parse_duration(value)
        return Measure(by, accuracy_within(budget), floored=False, budget=budget)
    if at or what not in MEASURES:
        raise UsageError(suggest_name("measure", by, [*MEASURES, *LADDERS]))
    return Measure(by, MEASURES[what], ascending=what == "seconds")


def seconds_to(target: float) -> str:
    """Return the column of the seconds to a target."""
    return f"seconds_to_{target:g}"


def accuracy_within(budget: float) -> str:
    """Return the column of the best accuracy within a budget."""
    return f"accuracy_within_{budget:g}s"


def parse_target(text: str) -> float:
    """Return the accuracy that `0.95` or `95%` stands for, in (0, 1].

    Raises:
        QuestionError: it stands for none.
    """
    match = re.fullmatch(r"\s*(\d*\.?\d+)\s*(%?)\s*", text)
    target = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < target <= 1:
        raise UsageError(
            f"a target is an accuracy above 0 and up to 1, such as 0.95 or 95%; found '{text}'"
        )
    return target


def parse_ladder(text: str | None, parse: Callable[[str], float]) -> tuple[float, ...] | None:
    """Return what a list such as `0.9,0.95` or `10s,1m` holds, ascending; None for none.

    Raises:
        QuestionError: one of them stands for nothing.
    """
    if text is None:
        return None
    return tuple(sorted({parse(part) for part in text.split(",") if part.strip()}))


def usual_targets(best: float) -> tuple[float, ...]:
    """Return the highest targets that an accuracy reaches: with 0.96, 0.85 to 0.95."""
    return tuple(target for target in _TARGETS if target <= best)[-_TARGETS_SHOWN:]


def usual_budgets(first: float, last: float) -> tuple[float, ...]:
    """Return budgets from the first measurement to the last one, in steps of about three."""
    within = [budget for budget in _BUDGETS if first <= budget < last]
    enough = next((budget for budget in _BUDGETS if budget >= last), None)
    ladder = [*within, *([enough] if enough is not None and enough >= first else [])]
    return tuple(ladder[-_BUDGETS_SHOWN:])


def with_rung(ladder: Iterable[float], rung: float | None) -> tuple[float, ...]:
    """Return a ladder that has a rung."""
    return tuple(sorted({*ladder, *([] if rung is None else [rung])}))
