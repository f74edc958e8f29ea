"""The fields of a plan: wrapped with hanging indents in a terminal, never in a pipe."""

import io

import pytest
from rich.console import Console

from tune_ode.cli.display.plan import print_fields

LINES = ["budget    14 trials, 60 s in total, up to 4 s of training each", f"run       /{'x' * 70}"]


@pytest.mark.parametrize("width", [5, 40, 80])
def test_fields(width):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    print_fields(LINES, console)
    first, *rest = console.file.getvalue().splitlines()
    assert first.startswith("budget    ")
    assert all(line.startswith((" " * 10, "run ")) for line in rest)
    assert rest[-1].strip().endswith(f"/{'x' * 70}"), "a path can be copied"
    assert max(map(len, [first, *rest[:-1]])) <= max(width, 18)
    console = Console(file=io.StringIO(), width=width)
    print_fields(LINES, console)
    assert console.file.getvalue().splitlines() == LINES
