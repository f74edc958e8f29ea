"""A person sees what is trained, how far it is and what came of it, with a terminal and without."""

import io
import re
import types

import pytest
from rich.console import Console

from tune_ode.cli.display.replication import ConfirmDisplay
from tune_ode.records import Confirmation, Outcome, TrialResult, TrialSpec
from tune_ode.replication.runner import RunningTraining


def training(**changes):
    setup = TrialSpec(trial_id="0007", config={}, params={}, created=0.0, confirms="0002")
    values = {
        "confirms": "0002", "seed_number": 2, "epochs": 10, "attempt": 1, "crashes": 0,
        "started": 0.0, "spec": setup,
    }  # fmt: skip
    return RunningTraining(**(values | changes))


def state(**changes):
    values = {
        "running": None, "last": None, "done": {}, "finished": 3, "total": 12,
        "interrupted": False, "elapsed": lambda: 60.0,
    }  # fmt: skip
    return types.SimpleNamespace(**(values | changes))


def display(confirming, *, terminal):
    console = Console(file=io.StringIO(), width=120, force_terminal=terminal, color_system=None)
    return ConfirmDisplay(console).watch(confirming), console


def panel(confirming):
    shown, console = display(confirming, terminal=True)
    console.print(shown._panel())
    return console.file.getvalue()


def outcome(**changes):
    values = {"trial_id": "0007", "attempt": 1, "outcome": Outcome.COMPLETED, "started": 0.0,
              "ended": 1.0}  # fmt: skip
    return TrialResult(**(values | changes))


def test_the_panel_tells_how_many_are_done_and_how_far_the_running_one_is(report):
    task = types.SimpleNamespace(trial_id="0007", attempt=1)
    running = training(lines=[report(task, 3, 0.75)], epoch=3.5)
    text = panel(state(running=running, done={str(n): outcome() for n in range(2)}))
    assert re.search(r"3/12 trainings +1:00 +4:30 left", text)
    assert "trial 0002 with seed 2 is at epoch 3.5 of 10, 3.0 s, validation accuracy 0.7500" in text


@pytest.mark.parametrize(
    ("confirming", "said"),
    [
        (state(running=training()), "starts its process"),
        (state(running=training(epoch=0.25)), "is at epoch 0.25 of 10"),
        (state(running=training(epoch=10.0, examined=True)), "is trained; testing it"),
        (state(running=training(confirms="default")), "the default configuration with seed 2"),
        (state(running=training(), interrupted=True), "stopping; saving what runs"),
    ],
)
def test_the_panel_tells_what_goes_on(confirming, said):
    assert said in panel(confirming)


def test_without_a_terminal_each_end_is_one_line():
    found = Confirmation(
        trial_id="0007", test_accuracy=0.9721, test_loss=0.1, test_images=100, solve_images=100,
        solves=[], reference=None, latencies=[], threads=1, cold_seconds=None,
    )  # fmt: skip
    confirming = state()
    tick, console = display(confirming, terminal=False)
    tick()
    confirming.last = training(confirmation=found)
    confirming.done["0007"] = outcome()
    tick()
    tick()
    confirming.last = training()
    confirming.done["0007"] = outcome(outcome=Outcome.DIVERGED, reason="the loss is not finite")
    tick()
    assert console.file.getvalue().splitlines() == [
        "trial 0002 with seed 2 completed: test accuracy 0.9721  [3/12 trainings, 1:00]",
        "trial 0002 with seed 2 diverged: the loss is not finite  [3/12 trainings, 1:00]",
    ]


def test_without_a_terminal_a_long_training_gives_a_sign_of_life(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("tune_ode.cli.display.replication.time.monotonic", lambda: now[0])
    tick, console = display(state(running=training(epoch=1.0)), terminal=False)
    tick()
    now[0] = 11.0
    tick()
    tick()
    assert len(console.file.getvalue().splitlines()) == 1
