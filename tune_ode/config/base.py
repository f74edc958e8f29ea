"""The base of every configuration model: frozen, strict about names, plain dicts in and out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from tune_ode.errors import ConfigurationError, suggest_name


class ConfigModel(BaseModel):
    """A validated, immutable model; unknown fields are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from plain values, as in JSON or YAML.

        Raises:
            ConfigurationError: names every invalid value, in one line.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigurationError(_one_line(cls, error)) from None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` of them gives an equal model."""
        return self.model_dump(mode="json")


def _one_line(model: type[BaseModel], error: ValidationError) -> str:
    messages = []
    for details in error.errors():
        path, context = ".".join(map(str, details["loc"])), details.get("ctx", {})
        match details["type"]:
            case "extra_forbidden" if len(details["loc"]) == 1:
                message = suggest_name("field", path, model.model_fields)
            case "extra_forbidden":
                message = f"{path}: no such field"
            case "union_tag_invalid":
                path += "." + context["discriminator"].strip("'")
                message = f"{path}: '{context['tag']}' is not one of {context['expected_tags']}"
            case "literal_error":
                message = f"{path}: '{details['input']}' is not one of {context['expected']}"
            case "value_error":
                text = details["msg"].removeprefix("Value error, ")
                message = f"{path}: {text}" if path else text
            case _:
                message = f"{path}: {details['msg']}, found {details['input']!r}"
        messages.append(message)
    return "; ".join(messages)
