"""Every setting of a `TrialConfig` by its dotted path, and whether it takes a value by itself.

A path such as `optimizer.momentum` may exist in several kinds of a part (sgd, rmsprop, muon): a
setting takes what one of them takes. Which settings go together only a whole `TrialConfig` says.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType, NoneType
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from tune_ode.config.trial import TAGS, TrialConfig
from tune_ode.errors import ConfigurationError, suggest_name

FieldValue = str | int | float | bool | list[float] | None
"""What a field takes in `--fix`, in YAML and in `run.json`."""


@dataclass(frozen=True)
class ConfigField:
    """One leaf of the configuration."""

    path: str
    adapters: tuple[TypeAdapter[Any], ...]
    """One validator for each kind of part that has the setting."""
    types: frozenset[type]
    """Of its values: some of int, float, bool, str, tuple, NoneType; names (Literals) are str."""

    def typed(self, value: Any) -> Any:
        """Return a value as the configuration will hold it: a whole number as a float where due.

        Raises:
            ConfigurationError: the setting does not take it.
        """
        expected: list[str] = []
        problem = ""
        for adapter in self.adapters:
            try:
                # strict, so that "3" is no number and 1 is no flag
                typed = adapter.validate_python(
                    tuple(value) if isinstance(value, list) else value, strict=True
                )
                return list(typed) if isinstance(typed, tuple) else typed
            except ValidationError as error:
                for one in error.errors():
                    if one["type"] == "literal_error":
                        expected += one["ctx"]["expected"].replace(" or ", ", ").split(", ")
                    elif one["type"] != "none_required":
                        problem = problem or one["msg"]
        if expected:
            names = ", ".join(dict.fromkeys(expected))
            raise ConfigurationError(f"{self.path}: {shown(value)} is not one of {names}")
        raise ConfigurationError(f"{self.path}: {problem}, found {shown(value)}")


def config_field(path: str) -> ConfigField:
    """Return the setting of a dotted path.

    Raises:
        ConfigurationError: there is none; names the nearest.
    """
    known = config_fields()
    if path not in known:
        raise ConfigurationError(suggest_name("setting", path, _nearby(path, known)))
    return known[path]


@cache
def config_fields() -> Mapping[str, ConfigField]:
    """Return every setting by its dotted path."""
    fields: dict[str, list[FieldInfo]] = {}
    for path, field in _walk(TrialConfig, ""):
        fields.setdefault(path, []).append(field)
    return MappingProxyType(
        {
            path: ConfigField(
                path=path,
                adapters=tuple(_adapter(field) for field in found),
                types=frozenset(kind for field in found for kind in _types(field.annotation)),
            )
            for path, found in fields.items()
        }
    )


@cache
def variants(tag: str) -> Mapping[str, frozenset[str]]:
    """Return which settings each kind of a part has.

    Args:
        tag: path of the setting that chooses the kind: `solver.method`, `optimizer.name` or
            `schedule.name`.

    Returns:
        Value of the tag → dotted paths.
    """
    part, name = tag.split(".")
    found: dict[str, frozenset[str]] = {}
    for kind in get_args(TrialConfig.model_fields[part].annotation):
        paths = frozenset(path for path, _ in _walk(kind, f"{part}."))
        found |= dict.fromkeys(get_args(kind.model_fields[name].annotation), paths)
    return MappingProxyType(found)


def shown(value: Any) -> str:
    """Return a value for an error message: of one line, and not too long for it."""
    return reprlib.repr(value)


def tag_of(path: str) -> str | None:
    """Return the path of the setting that decides whether this one exists, if there is such."""
    part = path.partition(".")[0]
    return next((tag for tag in TAGS if tag.startswith(f"{part}.") and tag != path), None)


def _nearby(path: str, known: Mapping[str, ConfigField]) -> list[str]:
    part = path.partition(".")[0]
    same_part = [other for other in known if other.partition(".")[0] == part]
    parts = list(dict.fromkeys(other.partition(".")[0] for other in known))
    return same_part or difflib.get_close_matches(path, known, n=6) or parts


def _walk(part: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in part.model_fields.items():
        # a part, a choice of parts, or a setting
        candidates = get_args(field.annotation) or (field.annotation,)
        parts = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        for inner in parts:
            yield from _walk(inner, f"{prefix}{name}.")
        if not parts:
            yield prefix + name, field


def _adapter(field: FieldInfo) -> TypeAdapter[Any]:
    annotation: Any = field.annotation
    if field.metadata:
        annotation = Annotated[annotation, *field.metadata]
    return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))


def _types(annotation: Any) -> Iterator[type]:
    if annotation in (int, float, bool, str, NoneType):
        yield annotation
    elif getattr(annotation, "__origin__", None) is tuple:
        yield tuple
    else:
        # Annotated, a union, or a Literal: look at what it holds
        for inner in get_args(annotation):
            if isinstance(inner, str):
                yield str
            else:
                yield from _types(inner)
