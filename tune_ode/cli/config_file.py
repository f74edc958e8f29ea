"""`--config FILE.yaml`: a command's options by name; what the command line says wins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer
from typer.exceptions import TyperException

from tune_ode.errors import UsageError, suggest_name

_FILE = "tune_ode.cli.config_file"
_NOT_IN_A_FILE = {"config", "help"}


def read_options(context: typer.Context, path: Path | None) -> Path | None:
    """Make a file's values the defaults of a command's options; the callback of `--config`.

    Raises:
        QuestionError: no YAML, no option of that name, or no value that it takes; names the file.
    """
    if path is None:
        return None
    # imported here: --help should not wait for yaml
    from tune_ode.config.yaml_files import read_yaml

    options = {
        name.removeprefix("--"): parameter
        for parameter in context.command.params
        for name in parameter.opts
        if name.startswith("--") and name.removeprefix("--") not in _NOT_IN_A_FILE
    }
    defaults: dict[str, Any] = {}
    lists: dict[str, list[str]] = {}
    for key, value in read_yaml(path).items():
        option = options.get(key.replace("_", "-"))
        if option is None:
            raise UsageError(f"{path}: {suggest_name('option', key, options)}")
        if value is None:
            continue  # as if it did not stand there
        if getattr(option, "multiple", False):
            assigns = str(option.metavar).startswith("NAME=")
            lists[str(option.name)] = _assignments(path, key, value, assigns)
            continue
        if isinstance(value, list | dict):
            raise UsageError(f"{path}: {key} takes one value, found {json.dumps(value)}")
        defaults[str(option.name)] = text = _text(value)
        try:
            option.process_value(context, text)
        except TyperException as error:
            format_message = getattr(error, "format_message", None)
            message = format_message() if format_message else error
            raise UsageError(f"{path}: {key}: {message}") from None
    context.default_map = defaults
    context.meta[_FILE] = lists
    return path


def with_those_of_the_file(
    context: typer.Context, parameter: typer.CallbackParam, values: list[str] | None
) -> list[str]:
    """Put what a file lists before what the command line does; later assignments win."""
    return [*context.meta.get(_FILE, {}).get(parameter.name, []), *(values or [])]


def _assignments(path: Path, key: str, value: Any, assigns: bool) -> list[str]:
    """Return what an option that may be given several times is given."""
    if assigns and isinstance(value, dict):
        return [f"{name}={_text(one)}" for name, one in value.items()]
    values = value if isinstance(value, list) else [value]
    if any(isinstance(one, list | dict) or (assigns and "=" not in _text(one)) for one in values):
        what = "{NAME: VALUE, ...}" if assigns else "[NAME, ...]"
        raise UsageError(f"{path}: {key} takes {what}, found {json.dumps(value)}")
    return [_text(one) for one in values]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
