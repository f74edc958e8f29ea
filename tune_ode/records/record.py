"""The base of all records, dataclasses that are JSON objects in files, and types of their fields.

The types admit whatever can be measured, and exclude what no later step could compute or draw.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Annotated, Any, Self, cast

from pydantic import Field, Strict, TypeAdapter, ValidationError

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Seconds = Annotated[Number, Field(ge=0, le=1e10)]
"""A duration of up to 300 years."""
Instant = Annotated[Number, Field(ge=0, le=253_402_300_799)]
"""Unix seconds, up to the year 9999."""
Amount = Annotated[Number, Field(ge=0, le=1e18)]
Count = Annotated[int, Field(strict=True, ge=0, le=2**53)]
Flag = Annotated[bool, Strict()]


class InvalidRecord(ValueError):
    """A file that does not hold the record it should; the message follows the file's name."""


class Record:
    """Conversion of a dataclass to and from a JSON object."""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object, with non-finite numbers replaced by None."""
        return {name: _finite(value) for name, value in asdict(self).items()}  # type: ignore[call-overload]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the record of a JSON object; unknown keys are ignored.

        Raises:
            InvalidRecord: a required key is missing, or a value has another type or range.
        """
        try:
            validated: Self = _adapter(cast(Any, cls)).validate_python(dict(values))
        except ValidationError as error:
            raise InvalidRecord(problem(error)) from None
        return validated


@cache
def _adapter(record: Any) -> TypeAdapter[Any]:
    """Return the validator of a type."""
    return TypeAdapter(record)


def problem(error: ValidationError) -> str:
    """Return the first problem of an invalid record as one line."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
