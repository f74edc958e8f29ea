"""The root command, and helpers that commands share.

Commands import their dependencies when they run, so that `--help` stays fast.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from tune_ode import __version__

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    name="tune-ode",
    help="Find the neural-ODE classifier that buys the most accuracy per second of training.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"tune-ode {__version__}")
        raise typer.Exit


def new_console(*, stderr: bool = False) -> Console:
    """Return a console on stdout, or on stderr."""
    from rich.console import Console

    # a notebook cell poses as a terminal, but does not erase lines that are overwritten
    in_notebook = "JPY_PARENT_PID" in os.environ
    return Console(stderr=stderr, force_terminal=False if in_notebook else None)


@contextmanager
def preparing(console: Console) -> Iterator[Callable[[str, float], None]]:
    """Show a spinner; yield a function that updates its label and the completed share."""
    with console.status("preparing …") as status:
        yield lambda label, share: status.update(f"{label}: {share:.0%}")
