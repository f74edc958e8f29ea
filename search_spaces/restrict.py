"""Restrict a space: give some parameters other ranges, or fix some fields."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from search_spaces.parameters import Fixed, Float, Int, Value, format_value, path_of
from search_spaces.range_syntax import parse
from search_spaces.space import Choice, Parameter, Space
from tune_ode.config.fields import config_field, tag_of, variants
from tune_ode.config.trial import TAGS
from tune_ode.errors import ConfigurationError


def restrict(space: Space, ranges: Mapping[str, Parameter | str]) -> Space:
    """Return a space with other ranges for some of its parameters.

    A name without an @ stands for the field's parameters in all branches. A choice keeps the
    sub-spaces of the options that remain, and a range given for a choice of numbers with
    sub-spaces keeps the options inside it. A text that names no scale keeps the present one;
    `linear` undoes `log`. Ranges are applied in order.

    Args:
        space: the space to restrict.
        ranges: parameter's name, or a field's path → its new range, as text too (`range_syntax`).

    Raises:
        ConfigurationError: an unknown parameter, or one that does not accept the range.
    """
    for name, new in ranges.items():
        exact = {
            known: parse(path_of(known), new, log=getattr(parameter, "log", False))
            if isinstance(new, str)
            else new
            for known, parameter in _find(space, name).items()
        }
        space = _restrict(space, exact)
    return space


def _find(space: Space, name: str) -> dict[str, Parameter]:
    """Return the parameters that a name, or a field's path, stands for."""
    found = {
        known: parameter for known, parameter, _ in space.walk() if name in (known, path_of(known))
    }
    if not found:
        names = list(dict.fromkeys(known for known, _, _ in space.walk()))
        near = difflib.get_close_matches(name, names, n=6, cutoff=0.5)
        raise ConfigurationError(
            f"this space has no parameter '{name}'; "
            + (f"near: {', '.join(near)}" if near else f"it has {', '.join(names[:6])} …")
        )
    return found


def _restrict(space: Space, ranges: Mapping[str, Parameter]) -> Space:
    parameters: dict[str, Parameter] = {}
    for name, parameter in space.parameters.items():
        new = ranges.get(name)
        if not isinstance(parameter, Choice):
            parameters[name] = parameter if new is None else new
            continue
        branches = {
            option: branch and _restrict(branch, ranges)
            for option, branch in parameter.options.items()
        }
        options = _options(name, branches, new)
        if options is None:
            parameters[name] = new  # type: ignore[assignment]
        elif len(options) > 1:
            parameters[name] = Choice(options)
        else:
            ((option, branch),) = options.items()
            parameters |= {name: Fixed(option), **(branch.parameters if branch else {})}
    return Space(parameters)


def _options(
    name: str, options: Mapping[Value, Space | None], new: Parameter | None
) -> dict[Value, Space | None] | None:
    """Return the remaining options of a choice; None: a range replaces it."""
    match new:
        case None:
            return dict(options)
        case Fixed(value):
            if isinstance(value, list):  # not an option of any choice
                return None
            return {value: options.get(value)}
        case Choice():
            return {option: branch or options.get(option) for option, branch in new.options.items()}
        case Float() | Int():
            if not any(options.values()):
                return None
            inside = {option: branch for option, branch in options.items() if option in new}
            if not inside:
                found = ", ".join(map(format_value, options))
                raise ConfigurationError(f"{name}: none of its options {found} is in {new}")
            return inside


def fix(space: Space, values: Mapping[str, Any]) -> Space:
    """Return the space that remains when some fields have one value in every trial.

    A fixed choice is replaced by the sub-space of its option. A field that exists under some
    options of a choice only (`optimizer.momentum`) becomes a `Fixed` under these; other fixed
    fields belong to the base configuration and leave the space.

    Args:
        space: the space to restrict.
        values: field's dotted path → value.

    Raises:
        ConfigurationError: an unknown field, or one that does not accept its value.
    """
    values = {path: config_field(path).validate(value) for path, value in values.items()}
    for path in values:
        tag = tag_of(path)
        if tag is None or tag in values:
            continue
        options = [
            option
            for name, parameter, _ in space.walk()
            if path_of(name) == tag and isinstance(parameter, Choice)
            for option in parameter.options
        ]
        if options and not any(path in variants(tag)[str(option)] for option in options):
            raise ConfigurationError(
                f"{path} is not a field of the searched options of {tag} "
                f"({', '.join(map(format_value, dict.fromkeys(options)))}); fix {tag} too"
            )
    return _fix(space, values)


def _fix(space: Space, values: Mapping[str, Any]) -> Space:
    parameters: dict[str, Parameter] = {}
    for name, parameter in space.parameters.items():
        path = path_of(name)
        if not isinstance(parameter, Choice):
            if path not in values:
                parameters[name] = parameter
        elif path in values:
            if branch := parameter.options.get(values[path]):
                parameters |= _fix(branch, values).parameters
        else:
            parameters[name] = Choice(
                {
                    option: Space(
                        {
                            **(_fix(branch, values).parameters if branch else {}),
                            **_fixed_in(path, option, values),
                        }
                    )
                    for option, branch in parameter.options.items()
                }
            )
    return Space(parameters)


def _fixed_in(tag: str, option: Value, values: Mapping[str, Any]) -> dict[str, Fixed]:
    """Return the fixed fields of the variant that an option selects.

    Selecting a variant resets its section to defaults, and with it the values of the base.
    """
    if tag not in TAGS:
        return {}
    return {
        path: Fixed(value)
        for path, value in values.items()
        if tag_of(path) == tag and path in variants(tag)[str(option)]
    }
