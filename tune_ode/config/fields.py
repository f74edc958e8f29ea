"""Every field of a `TrialConfig` by its dotted path, and the values that it accepts.

A field such as `optimizer.momentum` may exist in several variants of its section (sgd, rmsprop,
muon); it accepts what any of them accepts. Whether values are valid together depends on the
complete `TrialConfig`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from reprlib import repr as short_repr
from types import MappingProxyType, NoneType
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from tune_ode.config.trial import TAGS, TrialConfig
from tune_ode.errors import ConfigurationError, suggest_name

FieldValue = str | int | float | bool | list[float] | None
"""Value of a field in `--fix`, in YAML and in `run.json`."""


@dataclass(frozen=True)
class ConfigField:
    """A leaf of the configuration."""

    path: str
    adapters: tuple[TypeAdapter[Any], ...]
    """One validator per variant that has the field."""
    types: frozenset[type]
    """Types of its values: int, float, bool, str (Literals too), tuple, NoneType."""

    @property
    def is_real(self) -> bool:
        """Whether ranges of this field are of real numbers, rather than of integers.

        Raises:
            ConfigurationError: the field is not a number.
        """
        if float in self.types and tuple not in self.types:
            return True
        if int in self.types:
            return False
        raise ConfigurationError(f"{self.path} takes no range of numbers; list its values: A | B")

    def validate(self, value: Any) -> Any:
        """Return a value in the field's type, such as an integer as a float.

        Raises:
            ConfigurationError: the field does not accept the value.
        """
        expected: list[str] = []
        problem = ""
        for adapter in self.adapters:
            try:
                # strict, so that "3" is not a number and 1 is not a boolean
                valid = adapter.validate_python(
                    tuple(value) if isinstance(value, list) else value, strict=True
                )
                return list(valid) if isinstance(valid, tuple) else valid
            except ValidationError as error:
                for details in error.errors():
                    if details["type"] == "literal_error":
                        expected += details["ctx"]["expected"].replace(" or ", ", ").split(", ")
                    elif details["type"] != "none_required":
                        problem = problem or details["msg"].removeprefix("Value error, ")
        if expected:
            names = ", ".join(dict.fromkeys(expected))
            raise ConfigurationError(f"{self.path}: {short_repr(value)} is not one of {names}")
        raise ConfigurationError(f"{self.path}: {problem}, found {short_repr(value)}")


def config_field(path: str) -> ConfigField:
    """Return the field of a dotted path.

    Raises:
        ConfigurationError: no such field; suggests the closest.
    """
    fields = config_fields()
    if path not in fields:
        sections = {other: other.partition(".")[0] for other in fields}
        near = [other for other in fields if sections[other] == path.partition(".")[0]]
        near = near or difflib.get_close_matches(path, fields, n=6) or sorted({*sections.values()})
        raise ConfigurationError(suggest_name("field", path, near))
    return fields[path]


@cache
def config_fields() -> Mapping[str, ConfigField]:
    """Return dotted path → field, for all fields of all variants."""
    found: dict[str, list[FieldInfo]] = {}
    for path, info in _walk(TrialConfig, ""):
        found.setdefault(path, []).append(info)
    return MappingProxyType(
        {
            path: ConfigField(
                path=path,
                adapters=tuple(map(_adapter, infos)),
                types=frozenset(type_ for info in infos for type_ in _types(info.annotation)),
            )
            for path, infos in found.items()
        }
    )


@cache
def variants(tag: str) -> Mapping[str, frozenset[str]]:
    """Return the fields of each variant of a section.

    Args:
        tag: path of the field that selects the variant: `solver.method`, `optimizer.name` or
            `schedule.name`.

    Returns:
        Value of the tag → dotted paths.
    """
    section, name = tag.split(".")
    paths: dict[str, frozenset[str]] = {}
    for variant in get_args(TrialConfig.model_fields[section].annotation):
        fields = frozenset(path for path, _ in _walk(variant, f"{section}."))
        paths |= dict.fromkeys(get_args(variant.model_fields[name].annotation), fields)
    return MappingProxyType(paths)


def tag_of(path: str) -> str | None:
    """Return the path of the tag that selects the variants of a field's section, if any."""
    section = path.partition(".")[0]
    return next((tag for tag in TAGS if tag.startswith(f"{section}.") and tag != path), None)


def _walk(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, info in model.model_fields.items():
        # a model, a union of models, or a leaf
        candidates = get_args(info.annotation) or (info.annotation,)
        models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        for inner in models:
            yield from _walk(inner, f"{prefix}{name}.")
        if not models:
            yield prefix + name, info


def _adapter(info: FieldInfo) -> TypeAdapter[Any]:
    annotation: Any = info.annotation
    if info.metadata:
        annotation = Annotated[annotation, *info.metadata]
    return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))


def _types(annotation: Any) -> Iterator[type]:
    if annotation in (int, float, bool, str, NoneType):
        yield annotation
    elif getattr(annotation, "__origin__", None) is tuple:
        yield tuple
    else:  # Annotated, a union, or a Literal
        for inner in get_args(annotation):
            yield from (str,) if isinstance(inner, str) else _types(inner)
