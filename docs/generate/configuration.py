"""Hook: the page on the configuration, from the pydantic models and their docstrings."""

import inspect
import json
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel

from tune_ode.config import TrialConfig
from tune_ode.config.fields import tag_of


def on_page_markdown(markdown: str, /, *, page: Any, **_: Any) -> str:
    """Append every field with its default, its values and its meaning to the page."""
    if page.file.src_uri != "reference/configuration.md":
        return markdown
    return "\n".join([markdown, *_model(TrialConfig, "")])


def _model(model: type[BaseModel], path: str) -> list[str]:
    sections = {name: _models(info.annotation) for name, info in model.model_fields.items()}
    leaves = [name for name, models in sections.items() if not models]
    lines = [inspect.getdoc(model) or "", ""]
    if leaves:
        lines += _table(model, leaves, path)
    for name, models in sections.items():
        inner = f"{path}{name}."
        if models:
            lines += [f"{'##' if not path else '###'} {path}{name}", ""]
            lines += _model(models[0], inner) if len(models) == 1 else _variants(models, inner)
    return lines


def _models(annotation: Any) -> list[type[BaseModel]]:
    candidates = get_args(annotation) or (annotation,)
    return [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]


def _variants(models: list[type[BaseModel]], path: str) -> list[str]:
    """Describe the fields that all variants share, then those of each."""
    tag = (tag_of(f"{path}_") or "").removeprefix(path)
    properties = [model.model_json_schema()["properties"] for model in models]
    shared = [n for n, field in properties[0].items() if all(p.get(n) == field for p in properties)]
    lines = [f"`{path}{tag}` selects the other fields of this section.", ""]
    lines += _table(models[0], shared, path)
    for model, fields in zip(models, properties, strict=True):
        names = get_args(model.model_fields[tag].annotation)
        own = [name for name in fields if name not in (*shared, tag)]
        lines += [f"### {path}{tag}: {', '.join(names)}", "", inspect.getdoc(model) or "", ""]
        if own:
            lines += _table(model, own, path)
    return lines


def _table(model: type[BaseModel], names: Iterable[str], path: str) -> list[str]:
    fields = model.model_json_schema()["properties"]
    rows = [_row(f"{path}{name}", fields[name]) for name in names]
    return ["| field | default | values | meaning |", "| --- | --- | --- | --- |", *rows, ""]


def _row(path: str, field: dict[str, Any]) -> str:
    default = json.dumps(field.get("default")).strip('"')
    meaning = " ".join(field.get("description", "").split())
    return f"| `{path}` | `{default}` | {_values(field)} | {meaning} |"


def _values(field: dict[str, Any]) -> str:
    """Describe the values that a JSON schema accepts, such as `integer, 1 ≤ x ≤ 32`."""
    if options := field.get("anyOf"):
        return ", ".join(map(_values, options))
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    match field["type"]:
        case "null":
            return "`null`"
        case "boolean":
            return "`true`, `false`"
        case "array":
            return f"list of {_values(field['items']).replace('number', 'numbers')}"
        case kind:
            bounds = [f"{sign} {field[key]:,}" for key, sign in _BOUNDS.items() if key in field]
            return ", ".join([kind, *(text for text in bounds if len(text) < _INT64)])


_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_INT64 = 20  # characters of a bound that only says what an integer can hold
