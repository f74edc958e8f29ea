"""A search space: named parameters, some of which exist only under an option of a choice.

A parameter's name is the dotted path of the configuration field that it sets
(`training.epochs`). Optuna allows one range per name in a study, so where branches of a choice
need different ranges for one field, the branch follows the path after an @
(`optimizer.learning_rate@adam`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from reprlib import repr as short_repr
from types import MappingProxyType
from typing import Any, assert_never

from search_spaces.parameters import (
    Fixed,
    Float,
    Int,
    SuggestProtocol,
    Value,
    format_value,
    path_of,
)
from tune_ode.config import TrialConfig
from tune_ode.config.fields import config_field
from tune_ode.config.trial import dotted_paths
from tune_ode.config.yaml_files import parse_scalar
from tune_ode.errors import ConfigurationError


class Choice:
    """One of several values, each of which may open a sub-space.

    >>> Choice("relu", "gelu")
    >>> Choice({"euler": Space({"solver.steps": Int(1, 8)}), "dopri5": None})

    Raises:
        ConfigurationError: fewer than two options, or options that are not distinct scalars.
    """

    options: Mapping[Value, Space | None]

    def __init__(self, *options: Value | Mapping[Any, Space | None]) -> None:
        branches: dict[Any, Space | None] = {}
        for option in options:
            if isinstance(option, Mapping) and len(options) == 1:
                branches = dict(option)
            else:
                _check_option(option)
                branches[option] = None
        for option in branches:
            _check_option(option)
        if len(branches) < max(len(options), 2):
            raise ConfigurationError(
                "a choice needs at least two distinct options, found "
                f"{', '.join(map(short_repr, options)) or 'none'}; write a single value alone "
                "(in Python, Fixed(value))"
            )
        self.options = MappingProxyType(
            {
                option: branch if branch is not None and branch.parameters else None
                for option, branch in branches.items()
            }
        )

    @property
    def branches(self) -> Mapping[Value, Space]:
        """The options that open a sub-space."""
        return {option: branch for option, branch in self.options.items() if branch is not None}

    def suggest(self, name: str, trial: SuggestProtocol) -> Value:
        """Sample one of the options."""
        return trial.suggest_categorical(name, list(self.options))

    def __contains__(self, value: object) -> bool:
        # 1 == True and 1 == 1.0 in Python, but they are different field values
        return any(value == option and type(value) is type(option) for option in self.options)

    def __str__(self) -> str:
        return " | ".join(map(format_value, self.options))


Parameter = Float | Int | Choice | Fixed

_SHARED = {
    "data.dataset": "--dataset",
    "data.train_images": "--train-images",
    "data.validation_fraction": "--validation",
    "data.groups": "--groups",
    "data.split_seed": "--seed",
    "data.background": "--fix data.background=VALUE",
    "data.skip_broken": "--skip-broken",
    "seed": "--seed",
}
"""Fields that all trials share, since they are compared on one validation set → their option."""


class Space:
    """An immutable set of named parameters, validated on construction.

    `a | b` joins two spaces.

    Args:
        parameters: name → values of its field.

    Raises:
        ConfigurationError: an unknown field, or one that does not accept a bound or an option;
            one name with two different ranges; a field set twice in one point.
    """

    parameters: Mapping[str, Parameter]

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self.parameters = MappingProxyType(
            {name: _validated(name, parameter) for name, parameter in parameters.items()}
        )
        _check_set_once(self)
        ranges: dict[str, str] = {}
        for name, parameter, _ in self.walk():
            if isinstance(parameter, Fixed):
                continue  # not part of the study
            if ranges.setdefault(name, str(parameter)) != str(parameter):
                raise ConfigurationError(
                    f"'{name}' has two ranges, {ranges[name]} and {parameter}; name each after "
                    f"its branch, such as {path_of(name)}@branch"
                )

    def __or__(self, other: Space) -> Space:
        """Return both spaces' parameters as one space."""
        both = self.parameters.keys() & other.parameters.keys()
        if both:
            raise ConfigurationError(f"both spaces set {', '.join(sorted(both))}")
        return Space({**self.parameters, **other.parameters})

    def canonical(self) -> tuple[Any, ...]:
        """Return a value that is the same for equal spaces only.

        Ignores the order of parameters, but not that of options, which Optuna distinguishes.
        """
        return tuple(
            sorted(
                (
                    name,
                    tuple(
                        (format_value(option), branch and branch.canonical())
                        for option, branch in parameter.options.items()
                    )
                    if isinstance(parameter, Choice)
                    else ("fixed" if isinstance(parameter, Fixed) else "range", str(parameter)),
                )
                for name, parameter in self.parameters.items()
            )
        )

    def __eq__(self, other: object) -> bool:
        return self.canonical() == other.canonical() if isinstance(other, Space) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.canonical())

    def __repr__(self) -> str:
        return f"<Space of {len(self.names)} parameters>"

    @property
    def names(self) -> tuple[str, ...]:
        """Distinct names of the searched parameters: those that a study can contain."""
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
        """Return a point: name → value of every active parameter, fixed ones included."""
        values: dict[str, Value | list[float]] = {}
        for name, parameter in self.parameters.items():
            if isinstance(parameter, Fixed):
                values[name] = parameter.value
            elif isinstance(parameter, Choice):
                option = values[name] = parameter.suggest(name, trial)
                if branch := parameter.options[option]:
                    values |= branch.sample(trial)
            else:
                values[name] = parameter.suggest(name, trial)
        return values

    def point(self, config: TrialConfig) -> dict[str, Value]:
        """Return the point of this space closest to a configuration.

        Fields outside their parameter's range are left out, for the sampler to fill.
        """
        fields = dotted_paths(config.to_dict())
        return {
            name: fields[path_of(name)]
            for name, parameter in self._active(fields)
            if fields.get(path_of(name)) in parameter
        }

    def outside(self, config: TrialConfig) -> dict[str, Any]:
        """Return the fields, with their values, that are outside an active parameter's range."""
        fields = dotted_paths(config.to_dict())
        values = {path_of(name): parameter for name, parameter in self._active(fields)}
        return {path: fields.get(path) for path, p in values.items() if fields.get(path) not in p}

    def _active(self, fields: Mapping[str, Any]) -> Iterator[tuple[str, Parameter]]:
        """Yield the searched parameters that exist under the given field values."""
        for name, parameter in self.parameters.items():
            if not isinstance(parameter, Fixed):
                yield name, parameter
            if isinstance(parameter, Choice):
                value = fields.get(path_of(name))
                if value in parameter and (branch := parameter.options[value]):
                    yield from branch._active(fields)


def configure(base: TrialConfig, params: Mapping[str, Any]) -> TrialConfig:
    """Return a configuration with the values of a point.

    Raises:
        ConfigurationError: the point is not a valid configuration.
    """
    return base.with_values({path_of(name): value for name, value in params.items()})


def _check_option(option: object) -> None:
    if not (option is None or isinstance(option, str | int | float)):
        raise ConfigurationError(
            "an option of a choice must be a string, a number, true, false or null; found "
            f"{short_repr(option)}"
        )
    if isinstance(option, str) and parse_scalar(option) != option:
        # as the key of a branch in YAML, it would be read back as another value
        raise ConfigurationError(
            f"the string {option!r} is read as {parse_scalar(option)!r}; leave it out"
        )


def _validated(name: str, parameter: Parameter) -> Parameter:
    """Return a parameter with values of its field's type."""
    path = path_of(name)
    if not re.fullmatch(r"[^@]+(@[\w-]+)?", name):
        raise ConfigurationError(
            f"a parameter's name must be a field, or field@branch; found '{name}'"
        )
    if path in _SHARED:
        raise ConfigurationError(
            f"{path} is the same in all trials of a search and cannot be searched; set it with "
            f"{_SHARED[path]}"
        )
    field = config_field(path)
    match parameter:
        case Fixed(value):
            return Fixed(field.validate(value))
        case Choice():
            return Choice({field.validate(o): branch for o, branch in parameter.options.items()})
        case Int():
            if field.is_real:
                raise ConfigurationError(f"{path} takes real numbers; use Float, with step=1.0")
        case Float():
            if not field.is_real:
                raise ConfigurationError(f"{path} takes integers; use Int")
        case _:
            assert_never(parameter)
    field.validate(parameter.low)
    field.validate(parameter.high)
    return parameter


def _check_set_once(space: Space) -> set[str]:
    """Return the fields that a space sets; raise if one point can set a field twice."""
    fields: set[str] = set()
    for name, parameter in space.parameters.items():
        path = path_of(name)
        here = {path}
        if isinstance(parameter, Choice):
            for option, branch in parameter.branches.items():
                below = _check_set_once(branch)
                if path in below:
                    raise ConfigurationError(
                        f"'{name}' is set again under its option {format_value(option)}"
                    )
                here |= below
        if twice := fields & here:
            raise ConfigurationError(
                f"{', '.join(sorted(twice))} is set twice in one point; move one of the two "
                "under an option of a choice that excludes the other"
            )
        fields |= here
    return fields
