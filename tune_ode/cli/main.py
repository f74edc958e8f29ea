"""The console script: runs a command and reports errors as one line and an exit status.

Exit status: 0 success; 1 the run failed; 2 wrong usage, reported before anything starts; 130
interrupted, with the command that resumes.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import NoReturn

import typer
from typer.exceptions import TyperException

import tune_ode

# `--help` lists the commands in the order of these imports
from tune_ode.cli.commands import search, analysis, replication, info, jobs  # noqa: F401  # isort: skip
from tune_ode.cli.app import app
from tune_ode.cli.complete import words_of_bash
from tune_ode.cli.mistakes import explain
from tune_ode.cli.streams import OutputLost, safe_streams
from tune_ode.errors import Interrupted, TuneOdeError, UsageError, redact
from tune_ode.text import without_controls

_INTERRUPTED = 130
_RUNS = ("search", "resume", "train", "confirm", "compare", "simulate")
"""Commands whose work goes on when nobody reads their output."""


def main() -> NoReturn:
    """Run the command line; the console script."""
    arguments, status = sys.argv[1:], 0
    try:
        with safe_streams(keep_running=bool(arguments) and arguments[0] in _RUNS):
            status = run(arguments)
    except OutputLost as lost:
        status = status or lost.status
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status; print any error as one line on stderr."""
    try:
        _check_installed_packages()
        # typer catches interrupts and returns their exit status
        with words_of_bash():
            status = app(arguments, prog_name="tune-ode", standalone_mode=False)
        return _print_error("interrupted", status) if status == _INTERRUPTED else 0
    except TyperException as error:
        return _print_error(explain(error, arguments, typer.main.get_command(app)), 2)
    except UsageError as error:
        return _print_error(str(error), 2)
    except Interrupted as error:
        return _print_error(str(error), _INTERRUPTED)
    except TuneOdeError as error:
        return _print_error(str(error), 1)
    except typer.Abort:
        return _INTERRUPTED
    except KeyboardInterrupt:
        return _print_error("interrupted", _INTERRUPTED)


def _check_installed_packages() -> None:
    here = Path(tune_ode.__file__).resolve().parent.parent
    if here.parent.name == "py_modules_files":
        return  # in a job; Ray unpacks each shipped package into a separate directory
    for package in ("analysis", "search_spaces"):
        spec = importlib.util.find_spec(package)
        found = Path(spec.origin).resolve().parent.parent if spec and spec.origin else None
        if found != here:
            raise UsageError(
                f"the package '{package}' must come from {here}, like tune_ode, but Python finds "
                f"{found or 'none'}; remove that directory from PYTHONPATH, or change the "
                "working directory"
            )


def _print_error(message: str, status: int) -> int:
    line = redact(" ".join(without_controls(message).split()))
    print(f"tune-ode: {line}", file=sys.stderr)
    return status
