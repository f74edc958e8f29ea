"""Display of a confirmation: progress and results, with and without a terminal."""

import io
import re
import types

import pytest
from rich.console import Console

from analysis.section import Cell, Column, Section, Table
from tests.factories import make_confirmation, make_report, make_result, make_spec
from tune_ode.cli.display.replication import ReplicationDisplay
from tune_ode.cli.display.replication_result import print_section
from tune_ode.records import Outcome
from tune_ode.replication.runner import RunningTraining


def training(**changes):
    values = {
        "confirms": "0002", "seed_number": 2, "epochs": 10, "attempt": 1, "crashes": 0,
        "started": 0.0, "spec": make_spec("0007", confirms="0002"),
    }  # fmt: skip
    return RunningTraining(**(values | changes))


def state(**changes):
    values = {
        "running": None, "last_training": None, "results": {}, "finished": 3, "total": 12,
        "interrupted": False, "elapsed": lambda: 60.0,
    }  # fmt: skip
    return types.SimpleNamespace(**(values | changes))


def watch(runner, *, terminal):
    console = Console(file=io.StringIO(), width=120, force_terminal=terminal, color_system=None)
    display = ReplicationDisplay(console)
    return display, display.watch(runner), console


def panel(runner):
    display, _, console = watch(runner, terminal=True)
    console.print(display._panel())
    return console.file.getvalue()


def test_the_panel_shows_finished_trainings_and_progress_of_the_running_one():
    running = training(reports=[make_report("0007", 3, 0.75)], epoch=3.5)
    text = panel(state(running=running, results={str(n): make_result() for n in range(2)}))
    assert re.search(r"3/12 trainings +1:00 +4:30 left", text)
    assert "trial 0002 with seed 2: epoch 3.5 of 10, 3.0 s, validation accuracy 0.7500" in text


@pytest.mark.parametrize("terminal", [False, True])
def test_a_starved_training_is_named_once(terminal):
    starved = {"train_cpu_seconds": 4.0, "train_waiting_seconds": 4.0}
    running = training(reports=[make_report("0007", 3, 0.75, **starved)])
    _, tick, console = watch(state(running=running), terminal=terminal)
    tick()
    tick()
    text = console.file.getvalue()
    assert text.count("trial 0002 with seed 2: other programs use the CPU cores") == 1
    assert "waits 50% of its time" in text


@pytest.mark.parametrize(
    ("runner", "text"),
    [
        (state(running=training()), "starting its process"),
        (state(running=training(epoch=0.25)), "epoch 0.25 of 10"),
        (
            state(running=training(epoch=10.0, evaluating=True)),
            "trained, evaluating on the test set",
        ),
        (state(running=training(confirms="default")), "the default configuration with seed 2"),
        (state(running=training(), interrupted=True), "stopping; saving checkpoints"),
    ],
)
def test_the_panel_shows_what_is_happening(runner, text):
    assert text in panel(runner)


def test_without_a_terminal_each_end_is_one_line():
    runner = state()
    _, tick, console = watch(runner, terminal=False)
    tick()
    runner.last_training = training(confirmation=make_confirmation(test_accuracy=0.9721))
    runner.results["0007"] = make_result()
    tick()
    tick()
    runner.last_training = training()
    runner.results["0007"] = make_result(outcome=Outcome.DIVERGED, reason="the loss is not finite")
    tick()
    assert console.file.getvalue().splitlines() == [
        "trial 0002 with seed 2 completed: test accuracy 0.9721  [3/12 trainings, 1:00]",
        "trial 0002 with seed 2 diverged: the loss is not finite  [3/12 trainings, 1:00]",
    ]


def test_without_a_terminal_a_long_training_prints_its_progress(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("tune_ode.cli.display.replication.time.monotonic", lambda: now[0])
    _, tick, console = watch(state(running=training(epoch=1.0)), terminal=False)
    tick()
    now[0] = 11.0
    tick()
    tick()
    assert len(console.file.getvalue().splitlines()) == 1


@pytest.mark.parametrize("width", [1, 20, 40, 80, 300])
def test_a_section_leaves_out_details_then_columns_and_says_which(width):
    columns = (
        Column("rank"), Column("trial", numeric=False), Column("test accuracy"),
        Column("seconds to floor", spare=1), Column("latency of a prediction", spare=2),
    )  # fmt: skip
    row = (Cell("1"), Cell("0002"), Cell("0.9000", "0.8 – 0.95"), Cell("4.25"), Cell("2.0"))
    section = Section(
        title="", answer="The answer.", table=Table(columns, (row,)), notes=("A note.",), plots=(),
        records=[], files={}, complete=True,
    )  # fmt: skip
    console = Console(file=io.StringIO(), width=width)
    print_section(section, console)
    text = console.file.getvalue()
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    if width >= 20:
        assert "0002" in text
        assert "…" not in text, "nothing is cut"
    left_out = text[text.index("left out") :] if "left out" in text else ""
    assert ("latency" in left_out) == (1 < width < 50)
    assert ("[0.8 – 0.95]" in text) == (width >= 80)
