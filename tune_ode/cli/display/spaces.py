"""Print search spaces in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from search_spaces import PRESETS, Choice, Fixed, Space, path_of, to_tree
from search_spaces.parameters import format_value
from search_spaces.serialization import group_options


def print_spaces(console: Console) -> None:
    """Print a table of the ready-made spaces."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("space", style="cyan", no_wrap=True)
    table.add_column("parameters", justify="right", no_wrap=True)
    table.add_column("what is searched")
    for name, (space, description) in PRESETS.items():
        table.add_row(name, str(len(space.names)), description)
    console.print(table)


def print_space(space: Space, title: str, console: Console) -> None:
    """Print a space as a coloured tree, or as indented text if not on a terminal."""
    if not console.is_terminal:
        print(to_tree(space))
        return
    root = Tree(
        Text.assemble((title, "bold"), f"  {len(space.names)} parameters"), guide_style="dim"
    )
    _add_parameters(root, space)
    console.print(root)


def _add_parameters(node: Tree, space: Space) -> None:
    for name, parameter in space.parameters.items():
        branch = name.removeprefix(path_of(name))
        style = "dim" if isinstance(parameter, Fixed) else "cyan"
        leaf = node.add(
            Text.assemble(path_of(name), (branch, "dim"), "  ", (str(parameter), style))
        )
        if isinstance(parameter, Choice):
            for options, opened in group_options(parameter):
                if opened is not None:
                    option = leaf.add(Text(" | ".join(map(format_value, options)), style="cyan"))
                    _add_parameters(option, opened)
