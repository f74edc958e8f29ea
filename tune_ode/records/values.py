"""Parse JSON from other people into plain values that the rest of the program can rely on."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from tune_ode.records.record import InvalidRecord
from tune_ode.text import LINE, TEXT, Controls, without_controls

_MAX_DEPTH = 40
"""Levels of nesting; records have at most eight."""
_MAX_INTEGER = 2**63
_MULTILINE = frozenset({"traceback"})


def parse_object(content: bytes) -> dict[str, Any]:
    """Return the JSON object in a file, with control characters removed from its texts.

    Raises:
        InvalidRecord: as `parse`, or it is not an object.
    """
    values = parse(content)
    if not isinstance(values, dict):
        raise InvalidRecord("it must be a JSON object")
    return values


def parse(content: bytes) -> Any:
    """Return the JSON value in a file, with control characters removed from its texts.

    Raises:
        InvalidRecord: not JSON, nested too deeply, or with a number that is not finite or
            exceeds 64 bits.
    """
    try:
        values = json.loads(
            content, parse_constant=_not_finite, parse_int=_integer, parse_float=_float
        )
        return _clean(values, 0)
    except RecursionError:
        raise InvalidRecord(f"it has more than {_MAX_DEPTH} levels of nesting") from None
    except ValueError as error:
        if isinstance(error, InvalidRecord):
            raise
        raise InvalidRecord("it is not JSON") from None


def _clean(value: Any, depth: int, table: Controls = LINE) -> Any:
    if isinstance(value, str):
        return without_controls(value, table)
    if isinstance(value, dict | list) and depth == _MAX_DEPTH:
        raise RecursionError
    if isinstance(value, dict):
        return {
            _clean(name, depth): _clean(item, depth + 1, TEXT if name in _MULTILINE else LINE)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_clean(item, depth + 1) for item in value]
    return value


def _integer(text: str) -> int:
    # the length first: converting digits takes quadratic time
    if len(text) > 20 or abs(value := int(text)) >= _MAX_INTEGER:
        raise InvalidRecord("it has an integer of more than 64 bits")
    return value


def _float(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise InvalidRecord("it has a number that is not finite")
    return value


def _not_finite(name: str) -> NoReturn:
    raise InvalidRecord(f"it has {name}, which is not a number of JSON")
