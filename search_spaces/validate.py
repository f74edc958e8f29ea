"""Check that every point of a space is a valid configuration.

`Space` validates each value by itself. Whether values are valid together depends on the complete
configuration, and there are too many points to try all: each option and each bound is tried in
several random contexts, so that two values that exclude each other occur together.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from search_spaces.parameters import Fixed, Value
from search_spaces.space import Choice, Space, configure
from tune_ode.config import TrialConfig
from tune_ode.config.model import stem_sizes
from tune_ode.errors import ConfigurationError

CONTEXTS = 8
"""Random points per value. Two exclusive values that each occur in a quarter of the points are
missed in one case in a hundred."""


def validate(space: Space, base: TrialConfig, image_size: int | None = None) -> None:
    """Raise if a point of a space is not a valid configuration.

    Args:
        space: the space to check.
        base: the configuration that the points modify.
        image_size: side of the (square) images in pixels; None: do not check the stem.

    Raises:
        ConfigurationError: names the values that exclude each other, and the remedy.
    """
    for params in probes(space):
        try:
            config = configure(base, params)
            if image_size is not None:
                stem_sizes(config.model.stem, image_size)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"the space has invalid points: {error} (move the field under the options that "
                "it is valid with, or restrict one of the two with --fix or --set)"
            ) from None


def probes(space: Space, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield points in which every option and every bound of every parameter occurs."""
    rng = random.Random(seed)
    yield space.sample(_ProbeSampler({}, rng))  # the only point if nothing is searched
    for forced in _values(space, {}):
        for _ in range(CONTEXTS):
            yield space.sample(_ProbeSampler(forced, rng))


def _values(space: Space, opened_by: dict[str, Value]) -> Iterator[dict[str, Value]]:
    """Yield each option and bound, with the options that open its parameter."""
    for name, parameter in space.parameters.items():
        if isinstance(parameter, Choice):
            for option, branch in parameter.options.items():
                yield {**opened_by, name: option}
                if branch is not None:
                    yield from _values(branch, {**opened_by, name: option})
        elif not isinstance(parameter, Fixed):
            yield {**opened_by, name: parameter.low}
            yield {**opened_by, name: parameter.high}


class _ProbeSampler:
    """A trial with forced values, and random bounds and options of the other parameters."""

    def __init__(self, forced: dict[str, Value], rng: random.Random) -> None:
        self._forced = forced
        self._rng = rng

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        return self._choose(name, (low, high))  # type: ignore[no-any-return]

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        return self._choose(name, (low, high))  # type: ignore[no-any-return]

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        return self._choose(name, choices)  # type: ignore[no-any-return]

    def _choose(self, name: str, values: Sequence[Any]) -> Any:
        return self._forced[name] if name in self._forced else self._rng.choice(values)
