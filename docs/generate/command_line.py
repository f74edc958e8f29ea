"""Hook: the page on the command line, from the program itself."""

import html
from typing import Any

import typer

from tune_ode.cli.main import app
from tune_ode.cli.options.panels import PANELS


def on_page_markdown(markdown: str, /, *, page: Any, **_: Any) -> str:
    """Append the commands and their options to the page."""
    if page.file.src_uri != "reference/command-line.md":
        return markdown
    group = typer.main.get_command(app)
    parent = typer.Context(group, info_name="tune-ode")
    return "\n".join(
        [markdown, *(_command(group.commands[name], parent) for name in group.commands)]
    )


def _command(command: Any, parent: Any) -> str:
    context = typer.Context(command, info_name=command.name, parent=parent)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = [f"## {command.name}", "", command.help or "", "", "```", usage, "```", ""]
    panels: dict[str, list[str]] = {name: [] for name in ("Arguments", *PANELS, "Options")}
    for parameter in command.get_params(context):
        if record := parameter.get_help_record(context):
            panel = getattr(parameter, "rich_help_panel", None) or (
                "Arguments" if parameter.param_type_name == "argument" else "Options"
            )
            name, text = (" ".join(part.split()) for part in record)
            panels[panel].append(f"- `{name}`: {html.escape(text, quote=False)}")
    for panel, rows in panels.items():
        lines += [f"**{panel}**", "", *rows, ""] if rows else []
    return "\n".join(lines)
