"""Parameters of a space: ranges of numbers and fixed values.

A parameter samples through Optuna's `suggest_*` methods, so any object that has them will do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from reprlib import repr as short_repr
from typing import Protocol

from tune_ode.errors import ConfigurationError

Value = str | int | float | bool | None


class SuggestProtocol(Protocol):
    """The sampling methods of `optuna.trial.BaseTrial`."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        """Return a float in [low, high]."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """Return an integer in [low, high]."""

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        """Return one of the choices."""


@dataclass(frozen=True)
class Float:
    """A real number in [low, high].

    Args:
        low: smallest value.
        high: largest value, more than `low`.
        log: uniform in the logarithm; `low` is positive then.
        step: distance between values, which must divide the range; None: any value. Not with `log`.

    Raises:
        ConfigurationError: an invalid range.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            if value is None and name == "step":
                continue
            try:
                number = float(value) if type(value) in (int, float) else math.nan
            except OverflowError:
                number = math.inf
            if not math.isfinite(number):
                raise ConfigurationError(
                    f"{name} of a range must be a finite number, found {short_repr(value)}"
                )
            object.__setattr__(self, name, number)
        _check_range(self)

    def suggest(self, name: str, trial: SuggestProtocol) -> float:
        """Sample a value."""
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high and _on_grid(self, value)

    def __str__(self) -> str:
        return _range_text(self)


@dataclass(frozen=True)
class Int:
    """An integer in [low, high].

    Args:
        low: smallest value.
        high: largest value, more than `low`.
        log: uniform in the logarithm; `low` is positive then.
        step: distance between values, which must divide the range. Not with `log`.

    Raises:
        ConfigurationError: an invalid range.
    """

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            if type(value) is not int:
                raise ConfigurationError(
                    f"{name} of a range of integers must be an integer, found {short_repr(value)}"
                )
        _check_range(self)

    def suggest(self, name: str, trial: SuggestProtocol) -> int:
        """Sample a value."""
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def __contains__(self, value: object) -> bool:
        if type(value) is not int:
            return False
        return self.low <= value <= self.high and _on_grid(self, value)

    def __str__(self) -> str:
        return _range_text(self)


@dataclass(frozen=True)
class Fixed:
    """A value that is not searched; inside a branch, it holds for that branch only."""

    value: Value | list[float]

    def __contains__(self, value: object) -> bool:
        return type(value) is type(self.value) and value == self.value

    def __str__(self) -> str:
        return format_value(self.value)


def path_of(name: str) -> str:
    """Return the dotted path of the field that a parameter sets: its name up to the @."""
    return name.partition("@")[0]


def format_value(value: object) -> str:
    """Return a value as it is written in YAML and on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _range_text(range_: Float | Int) -> str:
    step = None if isinstance(range_, Int) and range_.step == 1 else range_.step
    scale = " log" if range_.log else ""
    return f"{range_.low} .. {range_.high}{scale}" + (f" step {step}" if step is not None else "")


def _on_grid(range_: Float | Int, value: float) -> bool:
    if isinstance(range_, Int):
        return (value - range_.low) % range_.step == 0
    if range_.step is None:
        return True
    steps = (value - range_.low) / range_.step
    return math.isfinite(steps) and abs(steps - round(steps)) < 1e-8


def _check_range(range_: Float | Int) -> None:
    low, high = short_repr(range_.low), short_repr(range_.high)
    if not range_.low < range_.high:
        raise ConfigurationError(
            f"a range needs low < high, found {low} .. {high}; write a single value alone"
        )
    if range_.log and range_.low <= 0:
        raise ConfigurationError(f"a logarithmic range needs low > 0, found {low} .. {high}")
    if range_.step is None or (isinstance(range_, Int) and range_.step == 1):
        return
    if range_.log:
        raise ConfigurationError(f"a range may have a step or be logarithmic, found both: {range_}")
    if not 0 < range_.step <= range_.high - range_.low or not _on_grid(range_, range_.high):
        raise ConfigurationError(f"the step must divide the range, found {range_}")
