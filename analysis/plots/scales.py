"""Axes for parameters: where a value lies, and what stands there."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.plots.style import Array

_FEW = 8
"""So many different numbers are drawn as choices, each with a name of its own."""


@dataclass(frozen=True)
class Scale:
    """Where a parameter's values lie on an axis from 0 to 1."""

    name: str
    log: bool
    choices: tuple[str, ...]
    """Names of its values, where it is drawn as choices; otherwise empty."""
    low: float
    high: float

    def place(self, values: list[Any]) -> Array:
        """Return the place of each value in [0, 1]; NaN for a parameter that a trial lacks."""
        if self.choices:
            steps = max(len(self.choices) - 1, 1)
            known = {name: place / steps for place, name in enumerate(self.choices)}
            return np.array([known.get(_text(value), math.nan) for value in values])
        numbers = np.array([value if _is_number(value) else math.nan for value in values], float)
        low, high = self.low, self.high
        if self.log:
            numbers, low, high = np.log(numbers), math.log(low), math.log(high)
        return np.asarray((numbers - low) / (high - low))

    def ticks(self) -> list[tuple[float, str]]:
        """Return places in [0, 1] and what stands there."""
        if self.choices:
            steps = max(len(self.choices) - 1, 1)
            return [(place / steps, name) for place, name in enumerate(self.choices)]
        places = (0.0, 0.5, 1.0)
        if self.log:
            values = [self.low * (self.high / self.low) ** place for place in places]
        else:
            values = [self.low + (self.high - self.low) * place for place in places]
        return [(place, f"{value:.2g}") for place, value in zip(places, values, strict=True)]


class Missing:
    """A parameter that a trial lacks; None is a value."""


def scales(params: list[Mapping[str, Any]], space: Mapping[str, Any]) -> dict[str, Scale]:
    """Return a scale for each parameter of which at least two values were tried.

    Args:
        params: of each trial, by name.
        space: as in the manifest; says which ranges are logarithmic.
    """
    tried: dict[str, list[Any]] = {}
    for one in params:
        for name, value in one.items():
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
    """Return the parameters whose range is logarithmic in a manifest's space."""
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
