"""Spaces as plain JSON values, YAML text, an indented tree and a hash.

A parameter's text (see `range_syntax`) stands under its name. A choice is a list of its options,
or, where options open sub-spaces, a mapping of an option, or `A | B`, to a sub-space:

    {"model.width": [16, 32], "solver.method": {"euler": {"solver.steps": "1 .. 8"}, "tsit5": None}}

The form is lossless, also in JSON, whose keys are strings: keys are read as YAML scalars.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from reprlib import repr as short_repr
from typing import Any

from search_spaces.parameters import Fixed, Value, format_value, path_of
from search_spaces.range_syntax import parse
from search_spaces.space import Choice, Parameter, Space
from tune_ode.config.fields import config_field
from tune_ode.config.yaml_files import parse_scalar
from tune_ode.errors import ConfigurationError


def to_dict(space: Space) -> dict[str, Any]:
    """Return a space as plain JSON values; `from_dict` of them gives an equal space."""
    return {name: _to_plain(parameter) for name, parameter in space.parameters.items()}


def _to_plain(parameter: Parameter) -> Any:
    if isinstance(parameter, Fixed):
        # a nested list is one value, a flat list the options of a choice
        return [parameter.value] if isinstance(parameter.value, list) else parameter.value
    if not isinstance(parameter, Choice):
        return str(parameter)
    if not parameter.branches:
        return list(parameter.options)
    return {
        " | ".join(map(format_value, options)): branch and to_dict(branch)
        for options, branch in group_options(parameter)
    }


def group_options(choice: Choice) -> list[tuple[list[Value], Space | None]]:
    """Return the options in order, adjacent ones with equal sub-spaces in one group."""
    groups: list[tuple[list[Value], Space | None]] = []
    for option, branch in choice.options.items():
        if groups and groups[-1][1] == branch:
            groups[-1][0].append(option)
        else:
            groups.append(([option], branch))
    return groups


def from_dict(values: Any) -> Space:
    """Build a space from plain values, as in a YAML file or a run's manifest.

    Raises:
        ConfigurationError: not a valid space; names the parameter.
    """
    if not isinstance(values, Mapping):
        raise ConfigurationError(
            f"a space must map names to parameters, found {short_repr(values)}"
        )
    return Space({name: _parameter(name, value) for name, value in values.items()})


def _parameter(name: Any, value: Any) -> Parameter:
    if not isinstance(name, str):
        raise ConfigurationError(f"a parameter's name must be a field, found {short_repr(name)}")
    path = path_of(name)
    try:
        if isinstance(value, Mapping):
            return Choice(_options(path, value))
        if isinstance(value, str):
            return parse(path, value)
        field = config_field(path)
        if isinstance(value, list) and len(value) > 1:
            return Choice(*map(field.validate, value))
        if isinstance(value, list):
            return Fixed(field.validate(*value)) if value else Choice()
        return Fixed(field.validate(value))
    except ConfigurationError as error:
        if path in str(error):
            raise
        raise ConfigurationError(f"{name}: {error}") from None


def _options(path: str, values: Mapping[Any, Any]) -> dict[Any, Space | None]:
    options: dict[Any, Space | None] = {}
    for keys, value in values.items():
        branch = None if value is None else from_dict(value)
        for key in keys.split("|") if isinstance(keys, str) else [keys]:
            option = config_field(path).validate(
                parse_scalar(key.strip()) if isinstance(key, str) else key
            )
            if option in options:
                raise ConfigurationError(f"{path}: duplicate option {format_value(option)}")
            options[option] = branch
    return options


def space_hash(space: Space) -> str:
    """Return twelve hexadecimal digits that identify a space; equal spaces share them."""
    return hashlib.sha256(json.dumps(space.canonical()).encode()).hexdigest()[:12]


def to_yaml(space: Space) -> str:
    """Return a space as YAML text that `from_dict` reads back."""
    return "".join(f"{line}\n" for line in _yaml(space, "")) or "{}\n"


def _yaml(space: Space, indent: str) -> Iterator[str]:
    for name, parameter in space.parameters.items():
        if isinstance(parameter, Choice) and parameter.branches:
            yield f"{indent}{name}:"
            for options, branch in group_options(parameter):
                yield f"{indent}  {' | '.join(map(format_value, options))}:"
                if branch is not None:
                    yield from _yaml(branch, indent + "    ")
        else:
            yield f"{indent}{name}: {_flow(_to_plain(parameter))}"


def _flow(value: Any) -> str:
    # field names and values need no quotes
    return f"[{', '.join(map(_flow, value))}]" if isinstance(value, list) else format_value(value)


def to_tree(space: Space) -> str:
    """Return a space as indented text, one parameter per line."""
    return "\n".join(_tree(space, ""))


def _tree(space: Space, indent: str) -> Iterator[str]:
    for name, parameter in space.parameters.items():
        yield f"{indent}{name}: {parameter}"
        if isinstance(parameter, Choice):
            for options, branch in group_options(parameter):
                if branch is not None:
                    yield f"{indent}  if {' | '.join(map(format_value, options))}:"
                    yield from _tree(branch, indent + "    ")
