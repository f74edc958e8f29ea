"""Values of options: NAME=VALUE, and those that are fields of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from tune_ode.config.base import ConfigModel
from tune_ode.config.yaml_files import parse_yaml
from tune_ode.errors import UsageError
from tune_ode.tuning.options import SearchOptions

_FORMS = {
    "--fix": "NAME=VALUE, such as --fix solver.method=euler",
    "--set": "NAME=LOW..HIGH or NAME=A|B, such as --set model.width=16..64",
}


def given_values(context: typer.Context, model: type[ConfigModel]) -> dict[str, Any]:
    """Return the parameters of a command that are fields of a model, without the unset ones."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in context.params.items()
        if name in model.model_fields and value not in (None, [])
    }


def search_options(context: typer.Context) -> SearchOptions:
    """Return the options of `search` or `submit`.

    Raises:
        UsageError: an invalid value.
    """
    values = given_values(context, SearchOptions)
    values["fix"] = parse_fix(
        values.get("fix"), context.params["precision"], context.params["skip_broken"]
    )
    values["restrict"] = parse_assignments("--set", values.get("restrict"))
    return SearchOptions.from_dict(values)


def parse_fix(
    assignments: list[str] | None, precision: str | None = None, skip_broken: bool = False
) -> dict[str, Any]:
    """Return dotted path → value of `--fix`, `--precision` and `--skip-broken`; values are YAML.

    Raises:
        UsageError: an option without a name or an equals sign.
    """
    fixed = {
        # to YAML, a color such as #ffffff is a comment
        name: value if value.startswith("#") else parse_yaml(value, f"--fix {name}")
        for name, value in parse_assignments("--fix", assignments).items()
    }
    for name, value in fixed.items():
        if isinstance(value, dict):
            raise UsageError(f"--fix {name} takes a value or a list of numbers, found {value}")
    if precision is not None:
        fixed["execution.precision"] = precision
    if skip_broken:
        fixed["data.skip_broken"] = True
    return fixed


def parse_assignments(option: str, assignments: list[str] | None) -> dict[str, str]:
    """Return name → text of NAME=TEXT assignments; the last one of a name wins.

    Raises:
        UsageError: an assignment without a name or an equals sign.
    """
    found = {}
    for assignment in assignments or []:
        name, equals, text = assignment.partition("=")
        if not equals or not name.strip() or (option == "--set" and not text.strip()):
            raise UsageError(f"{option} takes {_FORMS[option]}, found '{assignment}'")
        found[name.strip()] = text.strip()
    return found
