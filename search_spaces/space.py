"""A space: named parameters, some of them open only under a choice's option.

A parameter's name is the dotted path of the setting it decides (`training.epochs`). Optuna wants
one name to have one range in a study, so where branches of a choice need different ranges for one
setting, the name carries the branch behind an @ (`optimizer.learning_rate@adam`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Self, assert_never

from search_spaces import serialization
from search_spaces.choice import Choice
from search_spaces.parameters import Fixed, Float, Int, SuggestProtocol, Value, path_of, text_of
from search_spaces.range_syntax import is_real, typed
from search_spaces.restrict import restrict, without
from tune_ode.config import TrialConfig
from tune_ode.config.trial import dotted_paths
from tune_ode.errors import ConfigurationError

Parameter = Float | Int | Choice | Fixed

_SHARED = {
    "data.dataset": "--dataset",
    "data.train_images": "--train-images",
    "data.validation_fraction": "--fix data.validation_fraction=VALUE",
    "data.split_seed": "--seed",
    "seed": "--seed",
}
"""Settings that a search does not vary, since its trials are compared on one validation split, and
the option that sets each."""


class Space:
    """An immutable set of named parameters, checked when it is made.

    `a | b` joins two spaces; `space & {"model.width": Choice(16, 32)}` narrows one.

    Args:
        parameters: name → what its setting may be.

    Raises:
        ConfigurationError: a setting that does not exist, or does not take a bound or an option;
            one name for two different ranges; a setting decided twice in one point.
    """

    parameters: Mapping[str, Parameter]

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self.parameters = MappingProxyType(
            {name: _fitting(name, parameter) for name, parameter in parameters.items()}
        )
        _check_decided_once(self)
        seen: dict[str, str] = {}
        for name, parameter, _ in self.walk():
            if isinstance(parameter, Fixed):
                continue  # asks nothing of the study
            if seen.setdefault(name, str(parameter)) != str(parameter):
                raise ConfigurationError(
                    f"'{name}' has two ranges, {seen[name]} and {parameter}; name each after its "
                    f"branch, such as {path_of(name)}@branch"
                )

    def __or__(self, other: Space) -> Space:
        """Return both spaces' parameters as one space."""
        both = self.parameters.keys() & other.parameters.keys()
        if both:
            raise ConfigurationError(f"both spaces decide {', '.join(sorted(both))}")
        return Space({**self.parameters, **other.parameters})

    def __and__(self, ranges: Mapping[str, Parameter]) -> Space:
        """Return this space with other ranges for some of its parameters.

        A name without an @ stands for the setting's parameters in all branches. A choice keeps the
        sub-spaces of the options that stay, and a range given for a choice of numbers with
        sub-spaces keeps the options inside it.

        Raises:
            ConfigurationError: a parameter that is not here, or does not take the range.
        """
        return Space(restrict(self, ranges))

    def fixed(self, values: Mapping[str, Any]) -> Space:
        """Return the space left to search where some settings have one value in every trial.

        A fixed choice leaves the sub-space of its chosen option behind. A setting that exists
        under some options of a choice only (`optimizer.momentum`) becomes a `Fixed` under these;
        what else is fixed stands in the base configuration and leaves the space.

        Args:
            values: setting's dotted path → value.

        Raises:
            ConfigurationError: a setting that does not exist, or does not take its value.
        """
        return Space(without(self, {path: typed(path, v) for path, v in values.items()}))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Space):
            return NotImplemented
        return serialization.canonical(self) == serialization.canonical(other)

    def __hash__(self) -> int:
        return hash(serialization.canonical(self))

    def __repr__(self) -> str:
        return f"<Space of {len(self.names)} parameters>"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what is searched, each once: what a study over this space can hold."""
        return tuple(
            dict.fromkeys(
                name for name, parameter, _ in self.walk() if not isinstance(parameter, Fixed)
            )
        )

    def walk(self, depth: int = 0) -> Iterator[tuple[str, Parameter, int]]:
        """Yield every parameter with its name and nesting depth, sub-spaces after their choice."""
        for name, parameter in self.parameters.items():
            yield name, parameter, depth
            if isinstance(parameter, Choice):
                for branch in parameter.branches.values():
                    yield from branch.walk(depth + 1)

    def sample(self, trial: SuggestProtocol) -> dict[str, Value | list[float]]:
        """Return a point: a value of every parameter that is open, by name, the fixed included."""
        values: dict[str, Value | list[float]] = {}
        for name, parameter in self.parameters.items():
            if isinstance(parameter, Fixed):
                values[name] = parameter.value
            elif isinstance(parameter, Choice):
                chosen = values[name] = parameter.suggest(name, trial)
                if branch := parameter.options[chosen]:
                    values |= branch.sample(trial)
            else:
                values[name] = parameter.suggest(name, trial)
        return values

    def point(self, config: TrialConfig) -> dict[str, Value]:
        """Return the point of this space that stands for a configuration.

        A setting outside its parameter's range is left out, for the sampler to fill.
        """
        settings = dotted_paths(config.to_dict())
        return {
            name: settings[path_of(name)]
            for name, parameter in self._open(settings)
            if settings.get(path_of(name)) in parameter
        }

    def contains(self, config: TrialConfig) -> bool:
        """Return whether a configuration is a point of this space: nothing is left to fill."""
        settings = dotted_paths(config.to_dict())
        return all(
            settings.get(path_of(name)) in parameter for name, parameter in self._open(settings)
        )

    def _open(self, settings: Mapping[str, Any]) -> Iterator[tuple[str, Parameter]]:
        """Yield what is left to choose where the other settings are as these."""
        for name, parameter in self.parameters.items():
            if not isinstance(parameter, Fixed):
                yield name, parameter
            if isinstance(parameter, Choice):
                value = settings.get(path_of(name))
                if value in parameter and (branch := parameter.options[value]):
                    yield from branch._open(settings)

    def tree(self) -> str:
        """Return the space as indented text, a parameter a line."""
        return "\n".join(_lines(self, ""))

    def to_dict(self) -> dict[str, Any]:
        """Return the space as plain JSON values; `from_dict` of them gives an equal space."""
        return serialization.to_dict(self)

    @classmethod
    def from_dict(cls, values: Mapping[Any, Any]) -> Self:
        """Build a space from plain values, as in a YAML file or a run's manifest.

        Raises:
            ConfigurationError: names the parameter, where it stands, and what is wrong with it.
        """
        return cls(serialization.parameters_of(values, cls))


def configure(base: TrialConfig, params: Mapping[str, Any]) -> TrialConfig:
    """Return the configuration that a point of a space stands for.

    Raises:
        ConfigurationError: the point is no valid configuration.
    """
    return base.with_values({path_of(name): value for name, value in params.items()})


def _fitting(name: str, parameter: Parameter) -> Parameter:
    """Return a parameter in its setting's type, if it can stand under a name."""
    path = path_of(name)
    if not re.fullmatch(r"[^@]+(@[\w-]+)?", name):
        raise ConfigurationError(
            f"a parameter is named by its setting, or setting@branch; found '{name}'"
        )
    if path in _SHARED:
        raise ConfigurationError(
            f"{path} is the same in all trials of a search, and no part of a space; it is set by "
            f"{_SHARED[path]}"
        )
    match parameter:
        case Fixed(value):
            return Fixed(typed(path, value))
        case Choice():
            return Choice({typed(path, o): branch for o, branch in parameter.options.items()})
        case Int(low, high):
            if is_real(path):
                raise ConfigurationError(f"{path} takes real numbers; use Float, with step=1.0")
            values: tuple[float, ...] = (low, high)
        case Float(low, high):
            if not is_real(path):
                raise ConfigurationError(f"{path} takes whole numbers; use Int")
            values = (low, high)
        case _:
            assert_never(parameter)
    for value in values:
        typed(path, value)
    return parameter


def _check_decided_once(space: Space) -> set[str]:
    """Return the settings that a space's points decide; no point may decide one twice."""
    decided: set[str] = set()
    for name, parameter in space.parameters.items():
        path = path_of(name)
        here = {path}
        if isinstance(parameter, Choice):
            for option, branch in parameter.branches.items():
                below = _check_decided_once(branch)
                if path in below:
                    raise ConfigurationError(
                        f"'{name}' is decided again under its option {text_of(option)}"
                    )
                here |= below
        if twice := decided & here:
            raise ConfigurationError(
                f"{', '.join(sorted(twice))} is decided twice in one point; move one of the two "
                "under an option of a choice that excludes the other"
            )
        decided |= here
    return decided


def _lines(space: Space, indent: str) -> Iterator[str]:
    for name, parameter in space.parameters.items():
        yield f"{indent}{name}: {parameter}"
        if isinstance(parameter, Choice):
            for options, branch in parameter.grouped():
                if branch is not None:
                    yield f"{indent}  if {' | '.join(map(text_of, options))}:"
                    yield from _lines(branch, indent + "    ")
