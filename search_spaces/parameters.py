"""Ranges of numbers and fixed values: what a setting may be in the points of a space.

A parameter asks anything that has Optuna's `suggest_*` methods: an Optuna trial, or a plain random
source in a test. Optuna itself is not needed to describe or check a space.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tune_ode.config.fields import shown
from tune_ode.errors import ConfigurationError

Value = str | int | float | bool | None


class SuggestProtocol(Protocol):
    """What a parameter needs of a sampler; `optuna.trial.BaseTrial` has it."""

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
        step: distance between values that divides the range; None: any value. Not with `log`.

    Raises:
        ConfigurationError: no such range.
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
                    f"{name} of a range is a finite number, found {shown(value)}"
                )
            object.__setattr__(self, name, number)
        _check_range(self)

    def suggest(self, name: str, trial: SuggestProtocol) -> float:
        """Ask for a value."""
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high and _on_grid(self, value)

    def __str__(self) -> str:
        return _range_text(self)


@dataclass(frozen=True)
class Int:
    """A whole number in [low, high].

    Args:
        low: smallest value.
        high: largest value, more than `low`.
        log: uniform in the logarithm; `low` is positive then.
        step: distance between values that divides the range. Not with `log`.

    Raises:
        ConfigurationError: no such range.
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
                    f"{name} of a range of whole numbers is one, found {shown(value)}"
                )
        _check_range(self)

    def suggest(self, name: str, trial: SuggestProtocol) -> int:
        """Ask for a value."""
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def __contains__(self, value: object) -> bool:
        if type(value) is not int:
            return False
        return self.low <= value <= self.high and _on_grid(self, value)

    def __str__(self) -> str:
        return _range_text(self)


@dataclass(frozen=True)
class Fixed:
    """One value that is not searched; inside a branch, a setting that only its points have."""

    value: Value | list[float]

    def __contains__(self, value: object) -> bool:
        return type(value) is type(self.value) and value == self.value

    def __str__(self) -> str:
        return text_of(self.value)


def path_of(name: str) -> str:
    """Return the dotted path a parameter's name stands for: the name up to its @."""
    return name.partition("@")[0]


def text_of(value: object) -> str:
    """Return a value as YAML and the command line write it."""
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
    low, high = shown(range_.low), shown(range_.high)
    if not range_.low < range_.high:
        raise ConfigurationError(
            f"a range needs low < high, found {low} .. {high}; one value is written alone"
        )
    if range_.log and range_.low <= 0:
        raise ConfigurationError(f"a logarithmic range needs low > 0, found {low} .. {high}")
    if range_.step is None or (isinstance(range_, Int) and range_.step == 1):
        return
    if range_.log:
        raise ConfigurationError(f"a range has a step or is logarithmic, found both: {range_}")
    if not 0 < range_.step <= range_.high - range_.low or not _on_grid(range_, range_.high):
        raise ConfigurationError(f"the step divides the range, found {range_}")
