"""Display of a single training: a line per report, and a warning if it is starved."""

import io
import types

import pytest
from rich.console import Console

from tests.factories import make_report
from tune_ode.cli.display.training import TrainingDisplay


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"train_cpu_seconds": 4.0, "train_waiting_seconds": 4.0}, True),
        ({"train_cpu_seconds": 4.0, "train_waiting_seconds": 1.0}, False),
        ({"train_cpu_seconds": 4.0, "train_waiting_seconds": 4.0, "device": "GPU"}, False),
        ({"train_cpu_seconds": 4.0, "train_waiting_seconds": None}, False),
        ({"train_cpu_seconds": None, "train_waiting_seconds": 4.0}, False),
    ],
)
def test_a_starved_training_is_named_once(fields, shown):
    reports = [make_report(epoch=epoch, **fields) for epoch in (1, 2)]
    search = types.SimpleNamespace(running={"0001": types.SimpleNamespace(reports=reports)})
    console = Console(file=io.StringIO(), width=200)
    display = TrainingDisplay(search, 3, console)
    display.tick()
    display.tick()
    text = console.file.getvalue()
    assert len(text.splitlines()) == 2 + shown
    assert text.count("other programs use the CPU cores") == shown


@pytest.mark.parametrize(
    ("width", "headings"),
    [
        (80, "epoch seconds loss train validation NFE fwd/bwd"),
        (50, "epoch seconds loss train validation"),
        (40, "epoch seconds train validation"),
        (30, "epoch seconds validation"),
    ],
)
def test_each_report_is_one_line(width, headings):
    reports = [make_report(epoch=epoch, seconds=12345.6) for epoch in (1, 2.25)]
    search = types.SimpleNamespace(running={"0001": types.SimpleNamespace(reports=reports)})
    console = Console(file=io.StringIO(), width=width)
    with TrainingDisplay(search, 3, console) as display:
        display.tick()
    heading, *lines = console.file.getvalue().splitlines()
    assert heading.split() == headings.split()
    assert [line.split()[:2] for line in lines] == [["1", "12345.6"], ["2.25", "12345.6"]]
    assert {len(line) for line in lines} == {len(heading)}
