"""The building blocks of a space: a typed parameter knows its range and how to suggest a value.

A parameter asks anything that has Optuna's `suggest_*` methods: an Optuna trial, or a plain random
source in a test. Optuna itself is not needed to describe or check a space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from tune_ode.errors import ConfigurationError

if TYPE_CHECKING:
    from search_spaces.space import Space

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


class Choice:
    """One of several values; a value may open a sub-space of its own.

    >>> Choice("relu", "gelu")
    >>> Choice({"euler": Space({"solver.steps": Int(1, 8)}), "dopri5": None})
    """

    options: Mapping[Value, Space | None]

    def __init__(self, *options: Value | Mapping[Value, Space | None]) -> None:
        if len(options) == 1 and isinstance(options[0], Mapping):
            branches = dict(options[0])
        else:
            branches = dict.fromkeys(
                option for option in options if not isinstance(option, Mapping)
            )
            if len(branches) != len(options):
                raise ConfigurationError(
                    f"the options of a Choice are distinct values, or one mapping; found {options}"
                )
        if not branches:
            raise ConfigurationError("a Choice needs at least one option")
        self.options = MappingProxyType(branches)

    def suggest(self, name: str, trial: Suggests) -> Value:
        """Ask for one of the options."""
        return trial.suggest_categorical(name, list(self.options))

    def __contains__(self, value: object) -> bool:
        # 1 == True and 1 == 1.0 in Python, but they are different settings
        return any(value == option and type(value) is type(option) for option in self.options)

    def __str__(self) -> str:
        return " | ".join(str(option) for option in self.options)


Parameter = Float | Int | Choice


def _check_range(low: float, high: float, log: bool) -> None:
    if not low <= high:
        raise ConfigurationError(f"a range needs low <= high, found {low} .. {high}")
    if log and low <= 0:
        raise ConfigurationError(f"a logarithmic range needs low > 0, found {low} .. {high}")
