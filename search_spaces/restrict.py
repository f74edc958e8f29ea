"""Less of a space: other ranges for some parameters, or settings that are not searched at all.

Both walk a space and return the parameters of a new one.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from search_spaces.choice import Choice
from search_spaces.parameters import Fixed, Float, Int, Value, path_of, text_of
from search_spaces.range_syntax import parse
from tune_ode.config.fields import tag_of, variants
from tune_ode.config.trial import TAGS
from tune_ode.errors import ConfigurationError

if TYPE_CHECKING:
    from search_spaces.space import Parameter, Space


def find(space: Space, name: str) -> dict[str, Parameter]:
    """Return the parameters that a name, or a setting's path for all its branches, stands for.

    Raises:
        ConfigurationError: there is none.
    """
    found = {
        known: parameter for known, parameter, _ in space.walk() if name in (known, path_of(known))
    }
    if not found:
        names = list(dict.fromkeys(known for known, _, _ in space.walk()))
        near = difflib.get_close_matches(name, names, n=6, cutoff=0.5)
        raise ConfigurationError(
            f"'{name}' is no parameter of this space; "
            + (f"near: {', '.join(near)}" if near else f"it has {', '.join(names[:6])} …")
        )
    return found


def restrict(space: Space, ranges: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Return the parameters of a space with other ranges for some of them; see `Space.__and__`."""
    for name in ranges:
        find(space, name)
    return _restrict(space, ranges)


def _restrict(space: Space, ranges: Mapping[str, Parameter]) -> dict[str, Parameter]:
    left: dict[str, Parameter] = {}
    for name, parameter in space.parameters.items():
        new = ranges.get(name, ranges.get(path_of(name)))
        if isinstance(parameter, Choice):
            options = {
                option: branch and type(space)(_restrict(branch, ranges))
                for option, branch in parameter.options.items()
            }
            chosen = _options(name, options, new)
            if chosen is None:
                left[name] = new  # type: ignore[assignment]
            elif len(chosen) > 1:
                left[name] = Choice(chosen)
            else:
                ((option, branch),) = chosen.items()
                left |= {name: Fixed(option), **(branch.parameters if branch else {})}
        else:
            left[name] = parameter if new is None else new
    return left


def _options(
    name: str, options: Mapping[Value, Space | None], new: Parameter | None
) -> dict[Value, Space | None] | None:
    """Return what is left of a choice's options; None: a range takes their place."""
    match new:
        case None:
            return dict(options)
        case Fixed(value):
            if isinstance(value, list):  # of numbers, which no choice has
                return None
            return {value: options.get(value)}
        case Choice():
            return {option: branch or options.get(option) for option, branch in new.options.items()}
        case Float() | Int():
            if not any(options.values()):
                return None
            inside = {option: branch for option, branch in options.items() if option in new}
            if not inside:
                found = ", ".join(map(text_of, options))
                raise ConfigurationError(f"{name}: none of its options {found} is in {new}")
            return inside


def without(space: Space, values: Mapping[str, Any]) -> dict[str, Parameter]:
    """Return the parameters left where some settings have one value; see `Space.fixed`."""
    for path in values:
        tag = tag_of(path)
        if tag is None or tag in values:
            continue
        options = [o for _, p in _choices_of(space, tag) for o in p.options]
        if options and not any(path in variants(tag)[str(option)] for option in options):
            raise ConfigurationError(
                f"{path} is no setting of {', '.join(map(text_of, dict.fromkeys(options)))}, which "
                f"are what is searched; fix {tag} too"
            )
    return _without(space, values)


def _without(space: Space, values: Mapping[str, Any]) -> dict[str, Parameter]:
    left: dict[str, Parameter] = {}
    for name, parameter in space.parameters.items():
        path = path_of(name)
        if not isinstance(parameter, Choice):
            if path not in values:
                left[name] = parameter
        elif path in values:
            branch = parameter.options.get(values[path])
            left |= _without(branch, values) if branch else {}
        else:
            left[name] = Choice(
                {
                    option: type(space)(
                        {
                            **(_without(branch, values) if branch else {}),
                            **_fixed_in(path, option, values),
                        }
                    )
                    for option, branch in parameter.options.items()
                }
            )
    return left


def _fixed_in(tag: str, option: Value, values: Mapping[str, Any]) -> dict[str, Fixed]:
    """Return the fixed settings that exist under an option which chooses a kind of a part.

    Choosing it starts the part from its own defaults, so what stands in the base is lost.
    """
    if tag not in TAGS:
        return {}
    return {
        path: Fixed(value)
        for path, value in values.items()
        if tag_of(path) == tag and path in variants(tag)[str(option)]
    }


def _choices_of(space: Space, path: str) -> list[tuple[str, Choice]]:
    return [
        (name, parameter)
        for name, parameter, _ in space.walk()
        if path_of(name) == path and isinstance(parameter, Choice)
    ]


def restrict_by_text(space: Space, texts: Mapping[str, str]) -> Space:
    """Return a space with other ranges for some of its parameters, given in `notation`.

    A range that names no scale keeps the one it had; `linear` takes a logarithmic one back.

    Args:
        space: what is narrowed.
        texts: parameter's name, or a setting's path for all its branches → range.

    Raises:
        ConfigurationError: a parameter that is not here, or does not take the range.
    """
    for name, text in texts.items():
        space &= {
            known: parse(path_of(known), text, log=getattr(parameter, "log", False))
            for known, parameter in find(space, name).items()
        }
    return space
