"""A space as plain values: what a YAML file and a run's manifest hold, and what names a study.

A parameter's text form (`notation`) stands under its name. A choice is a list of its options, or,
where options open sub-spaces, a mapping of option, or `A | B`, to sub-space:

    {"model.width": [16, 32], "solver.method": {"euler": {"solver.steps": "1 .. 8"}, "tsit5": None}}

The form is lossless, also in JSON, whose keys are texts: keys are read as unquoted words of YAML.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from search_spaces.choice import Choice
from search_spaces.parameters import Fixed, path_of, text_of
from search_spaces.range_syntax import named, parse, typed
from tune_ode.config.fields import shown
from tune_ode.config.yaml_files import scalar
from tune_ode.errors import ConfigurationError

if TYPE_CHECKING:
    from search_spaces.space import Parameter, Space


def to_dict(space: Space) -> dict[str, Any]:
    """Return plain JSON values; see `Space.to_dict`."""
    return {name: _plain(parameter) for name, parameter in space.parameters.items()}


def _plain(parameter: Parameter) -> Any:
    if isinstance(parameter, Fixed):
        # a list in a list is one value, a list alone the options of a choice
        return [parameter.value] if isinstance(parameter.value, list) else parameter.value
    if not isinstance(parameter, Choice):
        return str(parameter)
    if not parameter.branches:
        return list(parameter.options)
    return {
        " | ".join(map(text_of, options)): branch and to_dict(branch)
        for options, branch in parameter.grouped()
    }


def parameters_of(values: Any, make: Callable[[dict[str, Parameter]], Space]) -> dict[str, Any]:
    """Return the parameters that plain values describe; see `Space.from_dict`.

    Args:
        values: what `to_plain` returns, or a person's YAML.
        make: makes a sub-space of its parameters.
    """
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"a space holds parameters by name, found {shown(values)}")
    return {_name(name): _parameter(name, value, make) for name, value in values.items()}


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise ConfigurationError(f"a parameter is named by its setting, found {shown(name)}")
    return name


def _parameter(name: str, value: Any, make: Callable[[dict[str, Parameter]], Space]) -> Parameter:
    path = path_of(name)
    try:
        if isinstance(value, Mapping):
            return Choice(_options(path, value, make))
        if isinstance(value, list) and len(value) > 1:
            return Choice(*(typed(path, option) for option in value))
        if isinstance(value, list):
            return Fixed(typed(path, *value)) if value else Choice()
        if isinstance(value, str):
            return parse(path, value)
        return Fixed(typed(path, value))
    except ConfigurationError as error:
        raise named(name, error) from None


def _options(
    path: str, values: Mapping[Any, Any], make: Callable[[dict[str, Parameter]], Space]
) -> dict[Any, Space | None]:
    options: dict[Any, Space | None] = {}
    for keys, value in values.items():
        branch = None if value is None else make(parameters_of(value, make))
        for key in keys.split("|") if isinstance(keys, str) else [keys]:
            option = typed(path, scalar(key.strip()) if isinstance(key, str) else key)
            if option in options:
                raise ConfigurationError(f"{path}: the option {text_of(option)} stands there twice")
            options[option] = branch
    return options


def canonical(space: Space) -> tuple[Any, ...]:
    """Return a value that equal spaces share, and only they.

    The order of parameters says nothing; that of a choice's options does, to Optuna.
    """
    return tuple(
        sorted(
            (
                name,
                tuple(
                    (text_of(option), branch and canonical(branch))
                    for option, branch in parameter.options.items()
                )
                if isinstance(parameter, Choice)
                else ("fixed" if isinstance(parameter, Fixed) else "range", str(parameter)),
            )
            for name, parameter in space.parameters.items()
        )
    )


def space_hash(space: Space) -> str:
    """Return twelve hexadecimal digits that name a space; equal spaces, and only they, share it."""
    return hashlib.sha256(json.dumps(canonical(space)).encode()).hexdigest()[:12]


def to_yaml(space: Space) -> str:
    """Return a space as a YAML text that `Space.from_dict` reads back."""
    return "".join(f"{line}\n" for line in _yaml(space, "")) or "{}\n"


def _yaml(space: Space, indent: str) -> Iterator[str]:
    for name, parameter in space.parameters.items():
        if isinstance(parameter, Choice) and parameter.branches:
            yield f"{indent}{name}:"
            for options, branch in parameter.grouped():
                yield f"{indent}  {' | '.join(map(text_of, options))}:"
                if branch is not None:
                    yield from _yaml(branch, indent + "    ")
        else:
            yield f"{indent}{name}: {_flow(_plain(parameter))}"


def _flow(value: Any) -> str:
    # names of settings and their values are words, which need no quotes
    return f"[{', '.join(map(_flow, value))}]" if isinstance(value, list) else text_of(value)
