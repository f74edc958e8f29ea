"""`--config FILE.yaml`: options of a command by name; the command line takes precedence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer
from typer.exceptions import TyperException

from tune_ode.errors import UsageError, suggest_name
from tune_ode.trust import names_in, require_trust

_LISTS = "tune_ode.cli.config_file"
"""Key in a context's `meta` of the repeatable options of the file."""
_NAMES = "tune_ode.cli.config_file.names"
"""Key in a context's `meta` of the file and what it names, see `tune_ode.trust`."""
_EXCLUDED = {"config", "help", "trust"}


def read_options(context: typer.Context, path: Path | None) -> Path | None:
    """Use a file's values as the defaults of a command's options; the callback of `--config`.

    Raises:
        UsageError: invalid YAML, an unknown option, or an invalid value; names the file.
    """
    if path is None:
        return None
    # imported here to keep --help fast
    from tune_ode.config.fields import config_fields
    from tune_ode.config.yaml_files import read_yaml

    options = {
        name.removeprefix("--"): parameter
        for parameter in context.command.params
        for name in parameter.opts
        if name.startswith("--") and name.removeprefix("--") not in _EXCLUDED
    }
    defaults: dict[str, Any] = {}
    lists: dict[str, list[str]] = {}
    for key, value in read_yaml(path).items():
        option = options.get(key.replace("_", "-"))
        if option is None and key in config_fields():
            text = _text(value)
            verb = "set" if ".." in text or "|" in text else "fix"
            raise UsageError(f"{path}: {key} is a field; write {verb}: {{{key}: {text}}}")
        if option is None:
            raise UsageError(f"{path}: {suggest_name('option', key, options)}")
        if value is None:
            continue  # as if absent
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
            message = getattr(error, "format_message", error.__str__)()
            raise UsageError(f"{path}: {key}: {message}") from None
    context.default_map = defaults
    context.meta[_LISTS] = lists
    context.meta[_NAMES] = str(path.absolute()), names_in(defaults | lists)
    return path


def check_names(context: typer.Context, trust: bool) -> bool:
    """Require an approval of what a file names; the callback of `--trust`.

    It is called after all options on the command line were read, unless it is one of them.

    Raises:
        UsageError: the file names something that is neither on the command line nor approved.
    """
    source, names = context.meta.get(_NAMES, ("", {}))
    given = {
        name
        for name in names.keys() - context.meta.get(_LISTS, {}).keys()
        if (origin := context.get_parameter_source(name)) and origin.name == "COMMANDLINE"
    }
    if names:
        require_trust(source, names, given=given, trust=trust)
    return trust


def merge_with_file(
    context: typer.Context, parameter: typer.CallbackParam, values: list[str] | None
) -> list[str]:
    """Return a file's values of a repeatable option, followed by those of the command line."""
    return [*context.meta.get(_LISTS, {}).get(parameter.name, []), *(values or [])]


def _assignments(path: Path, key: str, value: Any, assigns: bool) -> list[str]:
    """Return the values of a repeatable option."""
    if assigns and isinstance(value, dict):
        return [f"{name}={_text(item)}" for name, item in value.items()]
    values = value if isinstance(value, list) else [value]
    texts = [_text(item) for item in values if not isinstance(item, list | dict)]
    if len(texts) < len(values) or (assigns and not all("=" in text for text in texts)):
        expected = "{NAME: VALUE, ...}" if assigns else "[NAME, ...]"
        raise UsageError(f"{path}: {key} takes {expected}, found {json.dumps(value)}")
    return texts


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
