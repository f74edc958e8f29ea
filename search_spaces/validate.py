"""Whether every point of a space is a valid configuration, of images of a given size.

What a setting takes by itself is checked when a space is made. Whether values go together only a
whole configuration says, and the points are too many to try: here every option and every bound is
tried in a number of random contexts, so that two values that exclude each other meet.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from search_spaces.choice import Choice
from search_spaces.parameters import Fixed, Value
from search_spaces.space import Space, configure
from tune_ode.config import TrialConfig
from tune_ode.config.model import stem_sizes
from tune_ode.errors import ConfigurationError

CONTEXTS = 8
"""Random points that each value is tried in. A value met by chance in a quarter of the points of a
branch is missed from both sides in one case in a hundred."""


def validate(space: Space, base: TrialConfig, image_size: int | None = None) -> None:
    """Try a space out.

    Args:
        space: what is searched.
        base: what its points are set on.
        image_size: pixels a side of the images; None: any that the stem does not outgrow.

    Raises:
        ConfigurationError: a point that is no valid configuration; says which values exclude each
            other and how to keep them apart.
    """
    for params in probes(space):
        try:
            config = configure(base, params)
            if image_size is not None:
                stem_sizes(config.model.stem, image_size)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"the space has points that cannot be trained: {error} (move the setting under the "
                "options that it goes with, or narrow one of the two with --fix or --set)"
            ) from None


def probes(space: Space, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield points in which every option and every bound of every parameter occurs."""
    dice = random.Random(seed)
    yield space.sample(_Chooser({}, dice))  # the one point of a space with nothing to search
    for forced in _values(space, {}):
        for _ in range(CONTEXTS):
            yield space.sample(_Chooser(forced, dice))


def _values(space: Space, opened_by: dict[str, Value]) -> Iterator[dict[str, Value]]:
    """Yield each parameter's outermost values, with the options that open it."""
    for name, parameter in space.parameters.items():
        if isinstance(parameter, Choice):
            for option, branch in parameter.options.items():
                yield {**opened_by, name: option}
                if branch is not None:
                    yield from _values(branch, {**opened_by, name: option})
        elif not isinstance(parameter, Fixed):
            yield {**opened_by, name: parameter.low}
            yield {**opened_by, name: parameter.high}


class _Chooser:
    """Suggests the values it is told, of other parameters bounds and options at random."""

    def __init__(self, forced: dict[str, Value], dice: random.Random) -> None:
        self._forced = forced
        self._dice = dice

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        return self._choose(name, (low, high))  # type: ignore[no-any-return]

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        return self._choose(name, (low, high))  # type: ignore[no-any-return]

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        return self._choose(name, choices)  # type: ignore[no-any-return]

    def _choose(self, name: str, values: Sequence[Any]) -> Any:
        return self._forced[name] if name in self._forced else self._dice.choice(values)
