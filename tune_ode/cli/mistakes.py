"""One line with the remedy for a command line that cannot be parsed."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.exceptions import TyperException

from tune_ode.cli.options.definition import DEFINING_OPTIONS

_OTHER_WORDS = {
    "--batch": "--batch-size", "--bs": "--batch-size", "--budget": "--time-budget",
    "--cpus": "--cpus-per-trial", "--cuda": "--gpus-per-trial", "--data": "--dataset",
    "--device": "--gpus-per-trial", "--dir": "--output", "--dry-run": "--check",
    "--gpu": "--gpus-per-trial", "--gpus": "--gpus-per-trial", "--jobs": "--max-concurrent",
    "--lr": "--learning-rate", "--metric": "--objective", "--minutes": "--time-budget",
    "--n-trials": "--trials", "--num-trials": "--trials", "--out": "--output",
    "--parallel": "--max-concurrent", "--pruner": "--scheduler", "--search-space": "--space",
    "--time": "--time-budget", "--timeout": "--time-budget",
    "--workers": "--max-concurrent",
}  # fmt: skip
"""What other tools call an option, or a field."""
_OTHER_COMMANDS = {
    "fit": "train", "help": "--help", "list": "runs", "ls": "runs", "optimize": "search",
    "run": "search", "show": "rank", "start": "search", "tune": "search", "version": "--version",
}  # fmt: skip
_TAGS = ("kind", "method", "name")
"""Fields that their parent stands for: `--optimizer` for `optimizer.name`."""
_CLOSE = 0.75
"""Least similarity of what may have been meant."""
_EXTRA = re.compile(r"Got unexpected extra argument\S* \((.*)\)$")


def explain(error: TyperException, arguments: Sequence[str], root: Any) -> str:
    """Return what is wrong with a command line, and what to type.

    Args:
        error: raised by the parser.
        arguments: the command line, without the program.
        root: the command of the program, with all others.
    """
    message = str(getattr(error, "format_message", error.__str__)())
    option = getattr(error, "option_name", None)
    name = arguments[0] if arguments else ""
    if "No such command" in message:
        return _unknown_command(name, list(root.commands))
    command = root.commands.get(name, root)
    if option and "No such option" in message:
        return _unknown_option(str(option), arguments, command, root)
    if extra := _EXTRA.match(message):
        return _extra_argument(extra[1].split(), arguments, command)
    parameter = getattr(error, "param", None)
    if parameter is None and option:
        parameter = next((each for each in command.params if option in each.opts), None)
    if parameter is None:
        return message
    if "Missing " in message or "requires an argument" in message:
        return _missing_value(parameter)
    return _invalid_value(message, parameter, arguments)


def _unknown_command(name: str, valid: list[str]) -> str:
    known = f"valid: {', '.join(valid)}"
    if Path(name).exists():
        return f"unknown command '{name}'; for the ranking of a run: tune-ode rank {name}; {known}"
    near = difflib.get_close_matches(name.lower(), valid, n=1)
    meant = _OTHER_COMMANDS.get(name.lower(), *near)
    hint = f" did you mean: tune-ode {meant};" if meant else ""
    return f"unknown command '{name}';{hint} {known}"


def _unknown_option(option: str, arguments: Sequence[str], command: Any, root: Any) -> str:
    """Return the option, the field or the command that may have been meant."""
    if option in DEFINING_OPTIONS and command.name in ("resume", "confirm"):
        return (
            f"{option} defines what a run measures, so {command.name} cannot change it; "
            "start a new search, with --start-from RUN to continue from the results of this one"
        )
    written = next((each for each in arguments if each.startswith(option)), option)
    name, equals, value = written.partition("=")
    if not equals and written in arguments[:-1]:
        value = arguments[arguments.index(written) + 1]
    valid = _options(command)
    meant = f"-{name}" if f"-{name}" in valid else name.lower()
    meant = _OTHER_WORDS.get(meant, meant)
    near = difflib.get_close_matches(meant, valid, n=1, cutoff=_CLOSE)
    likeness = _likeness(meant, near[0]) if near else 0.0
    fields = _fields(meant.lstrip("-")) if "--fix" in valid else {}
    if max(fields.values(), default=0.0) > likeness:
        value = value if value and not value.startswith("-") else "VALUE"
        same = [path for path, likely in fields.items() if likely == max(fields.values())]
        fixes = " or ".join(f"--fix {path}={value}" for path in same[:3])
        return f"unknown option '{name}'; to set that field: {fixes}"
    if near:
        return f"unknown option '{name}'; did you mean '{near[0]}'?"
    having = [other for other, each in root.commands.items() if name in _options(each)]
    hint = f" it is an option of {', '.join(having)};" if having else ""
    return f"unknown option '{name}';{hint} see: {_path(command, root)} --help"


def _path(command: Any, root: Any) -> str:
    return "tune-ode" if command is root else f"tune-ode {command.name}"


def _options(command: Any) -> list[str]:
    names = (name for each in command.params for name in (*each.opts, *each.secondary_opts))
    return [name for name in names if name.startswith("--")]


def _likeness(first: str, second: str) -> float:
    return difflib.SequenceMatcher(None, first, second).ratio()


def _fields(name: str) -> dict[str, float]:
    """Return path → similarity of the fields whose name, or path, is like a name."""
    # imports pydantic
    from tune_ode.config.fields import config_fields

    wanted = name.replace("-", "_").replace(".", "_")
    found = {}
    for path in config_fields():
        *parents, last = path.split(".")
        names = [last, path.replace(".", "_")]
        if last in _TAGS:
            names += parents[-1:]
        found[path] = max(_likeness(wanted, each) for each in names)
    return {path: likeness for path, likeness in found.items() if likeness >= _CLOSE}


def _extra_argument(extra: list[str], arguments: Sequence[str], command: Any) -> str:
    """Return how to write values that were split at spaces, or the option that takes a value."""
    found = "unexpected " + " ".join(f"'{each}'" for each in extra)
    at = arguments.index(extra[0]) if extra[0] in arguments else 0
    option, value = arguments[max(at - 2, 0)], arguments[max(at - 1, 0)]
    assigns = option in ("--fix", "--set")
    if assigns and not ("=" in value[:-1] and all("=" in each[1:] for each in extra)):
        rest = " ".join(each for each in extra if each != "=").lstrip("=")
        written = f"{option} {value.rstrip('=')}={rest}"
        return f"{found}; {option} takes NAME=VALUE without spaces: {written}"
    if any(option in each.opts and getattr(each, "multiple", False) for each in command.params):
        again = " ".join(f"{option} {each}" for each in (value, *extra))
        return f"{found}; repeat the option: {again}"
    if option in _options(command):
        return f"{found}; a value with a space needs quotes: {option} '{value} {' '.join(extra)}'"
    for option in _taking(extra[0]):
        if option in _options(command):
            return f"{found}; did you mean: {option} {extra[0]}"
    return f"{found}; options start with --, see: tune-ode {command.name} --help"


def _taking(value: str) -> list[str]:
    """Return the options that a value without an option may belong to."""
    from tune_ode.cli import complete

    found = {"--dataset": complete.datasets, "--space": complete.spaces}
    found["--start-from"] = complete.recipes
    names = [option for option, find in found.items() if value in dict(find(value))]
    return names + ["--config"] * value.endswith((".yaml", ".yml"))


def _missing_value(parameter: Any) -> str:
    """Return what a parameter takes."""
    name, takes = parameter.opts[0], parameter.metavar or "VALUE"
    if not name.startswith("--"):
        listed = "; list runs with: tune-ode runs" if takes.startswith("RUN") else ""
        return f"{takes} is missing: {parameter.help.rstrip('.')}{listed}"
    return f"{name} needs a value: {name} {takes}: {parameter.help}"


def _invalid_value(message: str, parameter: Any, arguments: Sequence[str]) -> str:
    """Return a message with the value that it is about."""
    message = message.partition(", unable to parse")[0]
    name = parameter.opts[0]
    after = [value for option, value in itertools.pairwise(arguments) if option == name]
    after += [each.partition("=")[2] for each in arguments if each.startswith(f"{name}=")]
    if "take a value" in message:
        return f"{message.rstrip('.')}; write {name} alone"
    if not after or "found '" in message or f"'{after[-1]}'" in message:
        return message
    message += f", found '{after[-1]}'"
    percent = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%?", after[-1])
    if parameter.metavar == "SHARE" and percent and 1 < float(percent[1]) <= 100:
        message += f"; {percent[1]} percent is {float(percent[1]) / 100:g}"
    return message
