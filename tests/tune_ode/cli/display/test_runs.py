"""The listing of runs at any width: names are whole, and other columns are left out."""

import io

import pytest
from rich.console import Console

from tune_ode.catalog.listing import RunSummary
from tune_ode.cli.display.runs import print_runs

RUN = RunSummary(
    name="digits-quick-20261130-185023", run="runs/digits-quick-20261130-185023", state="finished",
    command="search", dataset="digits", space="quick", trials=120, ended=119, best_accuracy=0.9812,
    best_seconds=1.5, created=1e9, size_bytes=12_300_000,
)  # fmt: skip


@pytest.mark.parametrize(
    ("width", "headings"),
    [
        (120, "run state data space trials best started size"),
        (80, "run state trials best started"),
        (72, "run state trials best"),
        (45, "run state"),
        (30, "run"),
    ],
)
def test_the_listing_fits(width, headings):
    console = Console(file=io.StringIO(), width=width)
    print_runs([RUN], console)
    heading, line = console.file.getvalue().splitlines()
    assert heading.split() == headings.split()
    assert RUN.name in line
    assert ("0.9812 in 1.5 s" in line) == ("best" in headings)
    assert ("119/120" in line) == ("trials" in headings)


def test_a_terminal_narrower_than_a_name_folds_it():
    console = Console(file=io.StringIO(), width=20)
    print_runs([RUN], console)
    _, *lines = console.file.getvalue().splitlines()
    assert "".join(map(str.strip, lines)) == RUN.name
