"""The help of a command: its options in panels, each with its value in front of its text.

Typer's own help has columns for short names, opposites and types, which leave 18 of 80 characters
to the text.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from typer.core import TyperCommand

from tune_ode.cli.options.panels import PANELS

_ARGUMENTS, _OPTIONS = "Arguments", "Options"
_LEAST = re.compile(r"(?:; )?\bx>=[01]\b(?![<.])|  \[x>=[01]\]$")
"""That a count is not negative, which goes without saying."""
_TYPE = re.compile(r" <[^>]*>$")
"""The type of an argument, whose name says more."""
_EXTRA = re.compile(r"  (\[[^\[]*\])$")
"""The default, range or variable that typer appends to a text."""


class PanelCommand(TyperCommand):
    """A command whose help has a panel for each kind of option."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        # rich takes 50 ms to import
        from rich.console import Console
        from rich.padding import Padding
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        console = Console(highlight=False)
        panels = defaultdict(list)
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                panels[_panel_of(parameter, self)].append((_brief(parameter, record[0]), record[1]))
        first = max(len(name) for rows in panels.values() for name, _ in rows)
        console.print(Padding(Text(self.get_usage(ctx), style="bold"), (0, 1)))
        console.print(Padding(Text(self.help or ""), 1))
        for title in (_ARGUMENTS, *PANELS, _OPTIONS):
            if not panels[title]:
                continue
            table = Table.grid(padding=(0, 2, 0, 0))
            table.add_column(width=min(first, console.width // 3), overflow="fold")
            table.add_column(ratio=1)
            for name, text in panels[title]:
                flag, _, value = name.partition(" ")
                label = Text.assemble((flag, "bold cyan"), " ", (value, "yellow"))
                table.add_row(label, Text.assemble(*_styled(text)))
            console.print(Panel(table, title=title, title_align="left", border_style="dim"))


def _panel_of(parameter: Any, command: TyperCommand) -> str:
    """Return the title of a parameter's panel; --help is in the last one."""
    if parameter.param_type_name == "argument":
        return _ARGUMENTS
    used = {getattr(each, "rich_help_panel", None) for each in command.params}
    last = next((panel for panel in reversed(PANELS) if panel in used), _OPTIONS)
    return getattr(parameter, "rich_help_panel", None) or last


def _brief(parameter: Any, name: str) -> str:
    """Return the name of an option with its value; an option and its opposite as --[no-]NAME."""
    if parameter.secondary_opts:
        return f"--[no-]{parameter.opts[0].removeprefix('--')}"
    return _TYPE.sub("", name)


def _styled(text: str) -> list[str | tuple[str, str]]:
    """Return a text with what typer appended to it in another style."""
    text = _LEAST.sub("", text)
    match = _EXTRA.search(text)
    if match is None:
        return [text]
    return [text[: match.start()], " ", (match[1], "dim")]
