"""The base of every configuration part: frozen, strict about names, plain dicts in and out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from tune_ode.errors import ConfigurationError, suggest_name


class ConfigModel(BaseModel):
    """A validated, immutable part of a `TrialConfig`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a plain (JSON, YAML) dict.

        Raises:
            ConfigurationError: names every invalid value in one line.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigurationError(_one_line(cls, error)) from None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` of them gives an equal part."""
        return self.model_dump(mode="json")


def _one_line(model: type[BaseModel], error: ValidationError) -> str:
    problems = []
    for problem in error.errors():
        path = ".".join(str(step) for step in problem["loc"])
        if problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1:
            problems.append(suggest_name("setting", path, model.model_fields))
        elif problem["type"] == "extra_forbidden":
            problems.append(f"{path}: there is no such setting here")
        elif problem["type"] == "union_tag_invalid":
            context = problem["ctx"]
            tag = context["discriminator"].strip("'")
            problems.append(
                f"{path}.{tag}: '{context['tag']}' is not one of {context['expected_tags']}"
            )
        elif problem["type"] == "literal_error":
            found, valid = problem["input"], problem["ctx"]["expected"]
            problems.append(f"{path}: '{found}' is not one of {valid}")
        elif problem["type"] == "value_error":
            message = problem["msg"].removeprefix("Value error, ")
            problems.append(f"{path}: {message}" if path else message)
        else:
            problems.append(f"{path}: {problem['msg']}, found {problem['input']!r}")
    return "; ".join(problems)
