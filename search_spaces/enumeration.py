"""Number and list of the points of a space; a point assigns a value to each active parameter."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from search_spaces.parameters import Fixed, Float, Int, Value, format_value
from search_spaces.space import Choice, Parameter, Space

Point = dict[str, Value]
PointKey = frozenset[tuple[str, str]]
"""Equal for equal points only."""


def count_points(space: Space) -> float:
    """Return the number of points; infinity if a parameter is continuous."""
    return math.prod((_count(parameter) for parameter in space.parameters.values()), start=1.0)


def continuous_parameters(space: Space) -> list[str]:
    """Return the names of the parameters that take infinitely many values."""
    return list(dict.fromkeys(n for n, parameter, _ in space.walk() if _is_continuous(parameter)))


def points(space: Space) -> Iterator[Point]:
    """Yield every point of a space without continuous parameters, without fixed values."""
    names = [name for name, value in space.parameters.items() if not isinstance(value, Fixed)]

    def complete(index: int) -> Iterator[Point]:
        if index == len(names):
            yield {}
            return
        name = names[index]
        for value in _values(space.parameters[name]):
            for below in _branch_points(space.parameters[name], value):
                for rest in complete(index + 1):
                    yield {name: value, **below, **rest}

    return complete(0)


def point_key(params: Mapping[str, Any]) -> PointKey:
    """Return a hashable key of a point, in which rounding errors of floats do not count."""
    return frozenset(
        (name, f"{value:.12g}" if isinstance(value, float) else format_value(value))
        for name, value in params.items()
    )


def _is_continuous(parameter: Parameter) -> bool:
    return isinstance(parameter, Float) and parameter.step is None


def _count(parameter: Parameter) -> float:
    if isinstance(parameter, Fixed):
        return 1.0
    if isinstance(parameter, Choice):
        return sum(count_points(branch or Space({})) for branch in parameter.options.values())
    return _steps(parameter) + 1.0 if parameter.step else math.inf


def _steps(range_: Float | Int) -> int:
    """Return the number of steps from the low end of a range to its high end."""
    assert range_.step is not None
    if isinstance(range_, Int):
        return (range_.high - range_.low) // range_.step
    return round((range_.high - range_.low) / range_.step)


def _values(parameter: Parameter) -> Iterable[Value]:
    if isinstance(parameter, Choice):
        return parameter.options
    assert not isinstance(parameter, Fixed)
    if parameter.step is None:
        raise ValueError(f"infinitely many values: {parameter}")
    low, step = parameter.low, parameter.step
    return (low + step * index for index in range(_steps(parameter) + 1))


def _branch_points(parameter: Parameter, value: Value) -> Iterator[Point]:
    branch = parameter.options[value] if isinstance(parameter, Choice) else None
    return points(branch or Space({}))
