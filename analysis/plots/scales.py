"""Axes for parameters: positions of values, ticks and their labels."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.plots.style import Array

_FEW = 8
"""Up to this many distinct numbers are drawn as choices, with a tick each."""
_LACKING = object()
"""In place of the value of a parameter that a trial lacks, since None is a valid value."""


@dataclass(frozen=True)
class Scale:
    """Map from a parameter's values to an axis from 0 to 1."""

    name: str
    log: bool
    choices: tuple[str, ...]
    """Text of each value if it is drawn as choices; otherwise empty."""
    low: float
    high: float

    def positions(self, params: Sequence[Mapping[str, Any]]) -> Array:
        """Return the position of each trial in [0, 1]; NaN if it lacks the parameter."""
        values = [trial.get(self.name, _LACKING) for trial in params]
        if self.choices:
            steps = max(len(self.choices) - 1, 1)
            known = {name: index / steps for index, name in enumerate(self.choices)}
            return np.array([known.get(_text(value), math.nan) for value in values])
        numbers = np.array([value if _is_number(value) else math.nan for value in values], float)
        low, high = self.low, self.high
        if self.log:
            numbers, low, high = np.log(numbers), math.log(low), math.log(high)
        return np.asarray((numbers - low) / (high - low))

    def ticks(self) -> list[tuple[float, str]]:
        """Return positions in [0, 1] and their labels."""
        if self.choices:
            steps = max(len(self.choices) - 1, 1)
            return [(index / steps, name) for index, name in enumerate(self.choices)]
        space = np.geomspace if self.log else np.linspace
        values = space(self.low, self.high, 3)
        return [(0.5 * index, f"{value:.2g}") for index, value in enumerate(values)]


def scales(params: list[Mapping[str, Any]], space: Mapping[str, Any]) -> dict[str, Scale]:
    """Return a scale for each parameter with at least two values.

    Args:
        params: of each trial, by name.
        space: as in run.json; shows which ranges are logarithmic.
    """
    tried: dict[str, list[Any]] = {}
    for trial in params:
        for name, value in trial.items():
            tried.setdefault(name, []).append(value)
    log = logarithmic(space)
    return {
        name: _scale(name, values, name in log)
        for name, values in tried.items()
        if len({_text(value) for value in values}) > 1
    }


def _scale(name: str, values: list[Any], log: bool) -> Scale:
    numbers = [value for value in values if _is_number(value)]
    distinct = {_text(value) for value in values}
    if len(numbers) < len(values) or (
        len(distinct) <= _FEW and not any(isinstance(value, float) for value in values)
    ):
        order = sorted(distinct, key=_as_number)
        return Scale(name, False, tuple(order), 0.0, 1.0)
    low, high = float(min(numbers)), float(max(numbers))
    return Scale(name, log and low > 0, (), low, high)


def logarithmic(space: Mapping[str, Any]) -> frozenset[str]:
    """Return the parameters with a logarithmic range in the space of run.json."""
    return frozenset(name for name, text in _ranges(space) if re.search(r"\.\..* log\b", text))


def _ranges(space: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in space.items():
        if isinstance(value, str):
            yield str(name), value
        elif isinstance(value, Mapping):
            yield from _ranges(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _as_number(text: str) -> tuple[float, str]:
    try:
        return float(text), ""
    except ValueError:
        return math.inf, text
