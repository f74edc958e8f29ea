"""Parse the text of a parameter: on the command line, in YAML files and in `run.json`.

    1 .. 8        1e-4 .. 1e-1 log        0 .. 0.4 step 0.1        16 | 32 | 64        euler

The type of the field decides whether a range is of integers or of real numbers.
"""

from __future__ import annotations

import re
from reprlib import repr as short_repr

from search_spaces.parameters import Fixed, Float, Int
from search_spaces.space import Choice, Parameter
from tune_ode.config.fields import config_field
from tune_ode.config.yaml_files import parse_scalar
from tune_ode.errors import ConfigurationError

FORMS = "LOW .. HIGH, LOW .. HIGH log, LOW .. HIGH step S, A | B | C, or one value"
_SCALES = {"log": True, "linear": False}


def parse(path: str, text: str, *, log: bool = False) -> Parameter:
    """Return the parameter that a text describes.

    Args:
        path: dotted path of the field that it sets.
        text: in one of the forms above.
        log: whether a range without a scale is logarithmic.

    Raises:
        ConfigurationError: not one of the forms, or not valid for this field.
    """
    low, dots, rest = text.partition("..")
    try:
        if dots:
            return _range(path, text, low, rest, log)
        field = config_field(path)
        if "|" in text:
            options = (parse_scalar(option.strip()) for option in text.split("|"))
            return Choice(*map(field.validate, options))
        try:
            return Fixed(field.validate(parse_scalar(text.strip())))
        except ConfigurationError as error:
            raise ConfigurationError(f"{error}; the forms are {FORMS}") from None
    except ConfigurationError as error:
        if path in str(error):
            raise
        raise ConfigurationError(f"{path}: {error}") from None


def _range(path: str, text: str, low: str, rest: str, log: bool) -> Float | Int:
    match = re.fullmatch(
        r"\s*(\S+?)\s*(?:,?\s*\b(log|linear))?\s*(?:,?\s*\bstep\s+(\S+))?\s*", rest
    )
    if match is None:
        raise ConfigurationError(f"'{text}' is none of: {FORMS}")
    high, scale, step = match.groups()
    is_real = config_field(path).is_real
    log = _SCALES[scale] if scale else log and step is None
    bounds = _number(low.strip()), _number(high)
    if log and scale is None and bounds[0] <= 0:
        log = False  # these bounds do not allow the inherited scale
    if is_real:
        return Float(*bounds, log, _number(step) if step is not None else None)
    first, last, distance = (_integer(path, number) for number in (*bounds, _number(step or "1")))
    return Int(first, last, log, distance)


def _integer(path: str, number: int | float) -> int:
    if isinstance(number, float):
        raise ConfigurationError(f"{path} takes integers, found {number}")
    return number


def _number(text: str) -> int | float:
    value = parse_scalar(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(
            f"a range needs numbers, found {short_repr(text)}; the forms are {FORMS}"
        )
    return value
