"""Ranges of numbers: a typed parameter knows its range and how to suggest a value.

A parameter asks anything that has Optuna's `suggest_*` methods: an Optuna trial, or a plain random
source in a test. Optuna itself is not needed to describe or check a space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tune_ode.errors import ConfigurationError

Value = str | int | float | bool | None


class Suggests(Protocol):
    """What a parameter needs of a sampler; `optuna.trial.BaseTrial` has it."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """Return a float in [low, high]."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        """Return an integer in [low, high]."""

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        """Return one of the choices."""


@dataclass(frozen=True)
class Float:
    """A real number in [low, high], uniform, or uniform in its logarithm."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log)

    def suggest(self, name: str, trial: Suggests) -> float:
        """Ask for a value."""
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} .. {self.high:g}{', log' if self.log else ''}"


@dataclass(frozen=True)
class Int:
    """A whole number in [low, high], uniform, or uniform in its logarithm."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log)

    def suggest(self, name: str, trial: Suggests) -> int:
        """Ask for a value."""
        return trial.suggest_int(name, self.low, self.high, log=self.log)

    def __contains__(self, value: object) -> bool:
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and (self.low <= value <= self.high)
        )

    def __str__(self) -> str:
        return f"{self.low} .. {self.high}{', log' if self.log else ''}, whole"


def _check_range(low: float, high: float, log: bool) -> None:
    if not low <= high:
        raise ConfigurationError(f"a range needs low <= high, found {low} .. {high}")
    if log and low <= 0:
        raise ConfigurationError(f"a logarithmic range needs low > 0, found {low} .. {high}")
