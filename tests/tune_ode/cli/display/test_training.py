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
