"""The table of `simulate` at any width: numbers are whole, and the gain stays."""

import io

import pytest
from rich.console import Console

from tune_ode.cli.display.simulation import print_summary
from tune_ode.simulation.summary import StrategySummary, Summary


def strategy(name, area):
    return StrategySummary(
        strategy=name, trials=[20, 22], stopped=[10, 11], hypervolume=[0.81, 0.82], area=area,
        to_target={"0.9": [12.5, 13.5], "0.95": [100.0, None]}, best=[0.96, 0.95],
        seconds=[120.0, 120.0],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("width", "headings"),
    [
        (120, "sampler · scheduler trials stopped hypervolume area gain s to 0.9 s to 0.95"),
        (80, "sampler · scheduler trials area gain s to 0.9 s to 0.95"),
        (62, "sampler · scheduler area gain s to 0.95"),
        (40, "sampler · scheduler area"),
    ],
)
def test_the_table_fits(width, headings):
    summary = Summary(
        horizon=120.0, targets=[0.9, 0.95],
        strategies=[
            strategy("random · none", [0.71, 0.72]), strategy("tpe · seconds", [0.81, 0.82])
        ],
    )  # fmt: skip
    console = Console(file=io.StringIO(), width=width)
    print_summary(summary, console)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].split() == headings.split()
    assert "0.8150" in lines[2], "numbers are whole"
    assert ("+0.1000" in lines[2]) == ("gain" in headings)
