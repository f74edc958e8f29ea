"""Spaces in the terminal: the list of them, and one as a tree."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from search_spaces import PRESETS, Choice, Fixed, Space, path_of
from search_spaces.parameters import text_of


def print_spaces(console: Console) -> None:
    """Print the ready-made spaces."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("space", style="cyan", no_wrap=True)
    table.add_column("parameters", justify="right", no_wrap=True)
    table.add_column("what is searched")
    for name, (space, what) in PRESETS.items():
        table.add_row(name, str(len(space.names)), what)
    console.print(table)


def print_space(space: Space, title: str, console: Console) -> None:
    """Print a space as a tree, in colour; where no person reads, as indented text."""
    if not console.is_terminal:
        print(space.tree())
        return
    root = Tree(
        Text.assemble((title, "bold"), f"  {len(space.names)} parameters"), guide_style="dim"
    )
    _grow(root, space)
    console.print(root)


def _grow(node: Tree, space: Space) -> None:
    for name, parameter in space.parameters.items():
        branch = name.removeprefix(path_of(name))
        style = "dim" if isinstance(parameter, Fixed) else "cyan"
        leaf = node.add(
            Text.assemble(path_of(name), (branch, "dim"), "  ", (str(parameter), style))
        )
        if isinstance(parameter, Choice):
            for options, opened in parameter.grouped():
                if opened is not None:
                    _grow(leaf.add(Text(" | ".join(map(text_of, options)), style="cyan")), opened)
