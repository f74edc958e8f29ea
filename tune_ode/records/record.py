"""The base of all records: dataclasses that are JSON objects in files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Self


class Record:
    """Conversion of a dataclass to and from a JSON object."""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object, with non-finite numbers replaced by None."""
        return {name: _finite(value) for name, value in asdict(self).items()}  # type: ignore[call-overload]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the record of a JSON object; unknown keys are ignored.

        Raises:
            TypeError: a required key is missing.
        """
        known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
        return cls(**{name: value for name, value in values.items() if name in known})


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
