"""A space: named parameters, some of them open only under a choice's option.

A parameter's name is the dotted path of the setting it decides (`training.epochs`). Optuna wants
one name to have one range in a study, so where branches of a choice need different ranges for one
setting, the name carries the branch behind an @ (`optimizer.learning_rate@adam`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from search_spaces.parameters import Float, Int, Suggests, Value
from tune_ode.config import TrialConfig
from tune_ode.config.trial import dotted_paths
from tune_ode.errors import ConfigurationError


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


class Space:
    """An immutable set of named parameters, checked when it is made.

    Raises:
        ConfigurationError: one name stands for two different ranges.
    """

    parameters: Mapping[str, Parameter]

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self.parameters = MappingProxyType(dict(parameters))
        seen: dict[str, str] = {}
        for name, parameter, _ in self.walk():
            if seen.setdefault(name, str(parameter)) != str(parameter):
                raise ConfigurationError(
                    f"'{name}' has two ranges, {seen[name]} and {parameter}; name each after its "
                    f"branch, such as {name}@branch"
                )

    def __or__(self, other: Space) -> Space:
        """Return both spaces' parameters as one space."""
        both = self.parameters.keys() & other.parameters.keys()
        if both:
            raise ConfigurationError(f"both spaces decide {', '.join(sorted(both))}")
        return Space({**self.parameters, **other.parameters})

    def walk(self, depth: int = 0) -> Iterator[tuple[str, Parameter, int]]:
        """Yield every parameter with its name and nesting depth, sub-spaces after their choice."""
        for name, parameter in self.parameters.items():
            yield name, parameter, depth
            for _, branch in _branches(parameter):
                yield from branch.walk(depth + 1)

    def sample(self, trial: Suggests) -> dict[str, Value]:
        """Ask for a value of every parameter that is open; by name."""
        values: dict[str, Value] = {}
        for name, parameter in self.parameters.items():
            values[name] = parameter.suggest(name, trial)
            if isinstance(parameter, Choice) and (branch := parameter.options[values[name]]):
                values |= branch.sample(trial)
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

    def _open(self, settings: Mapping[str, Any]) -> Iterator[tuple[str, Parameter]]:
        for name, parameter in self.parameters.items():
            yield name, parameter
            if isinstance(parameter, Choice):
                branch = parameter.options.get(settings.get(path_of(name)))
                if branch:
                    yield from branch._open(settings)

    def fixed(self, values: Mapping[str, Any]) -> Space:
        """Return this space without the parameters that decide the settings in `values`.

        A fixed choice leaves the sub-space of its chosen option behind.

        Args:
            values: setting's dotted path → the value it is to have in every point.
        """
        left: dict[str, Parameter] = {}
        for name, parameter in self.parameters.items():
            path = path_of(name)
            if path not in values:
                left[name] = parameter
                if isinstance(parameter, Choice):
                    left[name] = Choice(
                        {
                            option: branch and branch.fixed(values)
                            for option, branch in parameter.options.items()
                        }
                    )
            elif isinstance(parameter, Choice):
                branch = parameter.options.get(values[path])
                left |= branch.fixed(values).parameters if branch else {}
        return Space(left)

    def tree(self) -> str:
        """Return the space as indented text, a parameter a line."""
        lines: list[str] = []
        _draw(self, 0, lines)
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the space as plain nested values, for a run's manifest."""
        return {
            name: str(parameter)
            if not any(_branches(parameter))
            else {str(option): branch.to_dict() for option, branch in _branches(parameter)}
            | {"options": str(parameter)}
            for name, parameter in self.parameters.items()
        }


def path_of(name: str) -> str:
    """Return the dotted path a parameter's name stands for: the name up to its @."""
    return name.partition("@")[0]


def configure(base: TrialConfig, params: Mapping[str, Value]) -> TrialConfig:
    """Return the configuration that a point of a space stands for.

    Raises:
        ConfigurationError: the point is no valid configuration.
    """
    return base.with_values({path_of(name): value for name, value in params.items()})


def _branches(parameter: Parameter) -> Iterator[tuple[Value, Space]]:
    if isinstance(parameter, Choice):
        for option, branch in parameter.options.items():
            if branch is not None:
                yield option, branch


def _draw(space: Space, depth: int, lines: list[str]) -> None:
    indent = "    " * depth
    for name, parameter in space.parameters.items():
        lines.append(f"{indent}{name}: {parameter}")
        for option, branch in _branches(parameter):
            lines.append(f"{indent}  if {option}:")
            _draw(branch, depth + 1, lines)
