"""Ranges and choices as text: on the command line, in YAML files, in a printed tree.

    1 .. 8        1e-4 .. 1e-1 log        0 .. 0.4 step 0.1        16 | 32 | 64        euler

Whether a range holds whole or real numbers follows from the setting it is for.
"""

from __future__ import annotations

import re
from typing import Any

from search_spaces.choice import Choice
from search_spaces.parameters import Fixed, Float, Int, path_of
from tune_ode.config.fields import config_field, shown
from tune_ode.config.yaml_files import scalar
from tune_ode.errors import ConfigurationError

FORMS = "LOW .. HIGH, LOW .. HIGH log, LOW .. HIGH step S, A | B | C, or one value"
_SCALES = {"log": True, "linear": False}


def parse(path: str, text: str, *, log: bool = False) -> Float | Int | Choice | Fixed:
    """Return the parameter that a text describes.

    Args:
        path: the setting it is for.
        text: in one of the forms above.
        log: whether a range that names no scale is logarithmic.

    Raises:
        ConfigurationError: no such form, or not for this setting.
    """
    low, dots, rest = text.partition("..")
    try:
        if dots:
            return _range(path, text, low, rest, log)
        if "|" in text:
            return Choice(*(typed(path, scalar(option.strip())) for option in text.split("|")))
        return Fixed(typed(path, scalar(text.strip())))
    except ConfigurationError as error:
        raise named(path, error) from None


def named(name: str, error: ConfigurationError) -> ConfigurationError:
    """Return an error that says which parameter it is about, if it does not yet."""
    return error if path_of(name) in str(error) else ConfigurationError(f"{name}: {error}")


def typed(path: str, value: Any) -> Any:
    """Return a setting's value as the configuration holds it; see `Setting.typed`."""
    return config_field(path).typed(value)


def is_real(path: str) -> bool:
    """Whether ranges for a setting hold real numbers, or else whole ones.

    Raises:
        ConfigurationError: the setting takes no numbers.
    """
    types = config_field(path).types
    if float in types and tuple not in types:
        return True
    if int in types:
        return False
    raise ConfigurationError(f"{path} takes no range of numbers; list its values: A | B")


def _range(path: str, text: str, low: str, rest: str, log: bool) -> Float | Int:
    found = re.fullmatch(
        r"\s*(\S+?)\s*(?:,?\s*\b(log|linear))?\s*(?:,?\s*\bstep\s+(\S+))?\s*", rest
    )
    if found is None:
        raise ConfigurationError(f"'{text}' is none of: {FORMS}")
    high, scale, step = found.groups()
    real = is_real(path)
    log = _SCALES[scale] if scale else log and step is None
    bounds = _number(low.strip()), _number(high)
    if log and scale is None and bounds[0] <= 0:
        log = False  # the scale was inherited, and these bounds have none
    if real:
        return Float(*bounds, log, _number(step) if step is not None else None)
    first, last, apart = (_whole(path, number) for number in (*bounds, _number(step or "1")))
    return Int(first, last, log, apart)


def _whole(path: str, number: int | float) -> int:
    if isinstance(number, float):
        raise ConfigurationError(f"{path} takes whole numbers, found {number}")
    return number


def _number(word: str) -> int | float:
    value = scalar(word)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(f"a range is of numbers, found {shown(word)}")
    return value
