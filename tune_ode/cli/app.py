"""The root command, and helpers that commands share.

Commands import their dependencies when they run, so that `--help` stays fast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.models import CommandFunctionType

from tune_ode.cli.help import PanelCommand
from tune_ode.version import __version__

if TYPE_CHECKING:
    from rich.console import Console


class _App(typer.Typer):
    def command(
        self, name: str | None = None, **settings: Any
    ) -> Callable[[CommandFunctionType], CommandFunctionType]:
        """Add a command with our help."""
        return super().command(name, **{"cls": PanelCommand} | settings)


app = _App(
    name="tune-ode",
    help="Find the neural-ODE classifier that buys the most accuracy per second of training.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


_DUMB = ("dumb", "unknown", "")


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"tune-ode {__version__}")
        raise typer.Exit


_MIN_WIDTH = 40
"""Columns of the output to a file or pipe, whatever COLUMNS is; a narrower terminal counts."""


def new_console(*, stderr: bool = False) -> Console:
    """Return a console on stdout, or on stderr."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    # a notebook cell and a dumb terminal pose as terminals, but do not erase lines
    erases = "JPY_PARENT_PID" not in os.environ and os.environ.get("TERM") not in _DUMB
    console = Console(stderr=stderr, force_terminal=stream.isatty() and erases)
    if not console.is_terminal:
        console.width = max(console.width, _MIN_WIDTH)
    return console


@contextmanager
def preparing(console: Console) -> Iterator[Callable[[str, float], None]]:
    """Show a spinner; yield a function that updates its label and the completed share."""
    spinner = "line" if console.options.ascii_only else "dots"
    with console.status("preparing …", spinner=spinner) as status:
        yield lambda label, share: status.update(f"{label}: {share:.0%}")
