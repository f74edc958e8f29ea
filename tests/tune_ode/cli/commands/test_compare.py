"""The command `compare`: plan, table and conclusion, interrupts, invalid arguments."""

import os
import signal
from pathlib import Path

import pytest

from tests.factories import make_report
from tests.tune_ode.conftest import Events
from tune_ode.records import Outcome
from tune_ode.replication import train as train_module
from tune_ode.worker.task import TrialEnd

SECONDS = {"euler": 1.0, "rk4": 2.0, "dopri5": 3.0}
OPTIONS = ("--dataset", "digits", "--epochs", "1", "--cases", "euler:adjoint,rk4:adjoint")


class Training(Events):
    """Events of a fake training whose seconds depend on its solver."""

    def __init__(self, task, *, outcome=Outcome.COMPLETED, **_):
        seconds = SECONDS[task.config["solver"]["method"]]
        report = make_report(
            task.trial_id, 1, 0.9, seconds=seconds, attempt=task.attempt, cpu_seconds=9.0,
            wall_seconds=seconds + 1, test_loss=1.0, test_accuracy=0.85,
        )  # fmt: skip
        completed = outcome is Outcome.COMPLETED
        super().__init__([report] * completed + [TrialEnd(outcome=outcome, reason="diverged")])


@pytest.fixture(autouse=True)
def fake_trainings(monkeypatch, no_pictures):
    """Replace the training processes; return a function that replaces them again."""
    monkeypatch.setenv("COLUMNS", "300")

    def replace(start):
        monkeypatch.setattr(train_module, "TrainingProcess", start)

    replace(Training)
    return replace


def test_it_trains_and_prints_the_comparison(tune_ode):
    status, out, err = tune_ode("compare", *OPTIONS)
    assert (status, err) == (0, "")
    assert "863 training images, 575 validation images, 359 test images" in out
    assert out.count("completed: test accuracy 0.8500") == 2
    assert "rk4:adjoint with seed 1 completed" in out
    assert "euler:adjoint 1 < rk4:adjoint 2. The expected order holds." in out
    (page,) = Path("runs").glob("*/report/comparison.md")
    assert "The expected order holds." in page.read_text()
    status, out, _ = tune_ode("rank", page.parents[1])
    assert status == 0
    assert "euler, adjoint" in out


def test_check_trains_nothing(tune_ode, tmp_path):
    status, out, _ = tune_ode("compare", *OPTIONS, "--seeds", "3", "--check")
    assert status == 0
    assert "trainings 6, one at a time: 1 epoch, 3 seeds per case" in out
    assert not (tmp_path / "runs").exists()


def test_ctrl_c_ends_with_130_and_resume_continues(tune_ode, fake_trainings):
    def interrupted(task, **_):
        if task.trial_id == "0001":
            return Training(task)
        os.kill(os.getpid(), signal.SIGINT)
        return Training(task, outcome=Outcome.INTERRUPTED)

    fake_trainings(interrupted)
    status, out, err = tune_ode("compare", *OPTIONS, "--name", "run")
    assert status == 130
    assert err == "tune-ode: interrupted; to continue: tune-ode resume runs/run\n"
    assert "1 training remains." in out
    fake_trainings(Training)
    status, out, _ = tune_ode("resume", "runs/run")
    assert status == 0
    assert out.count("completed: test accuracy") == 1
    assert "The expected order holds." in out
    status, _, err = tune_ode("resume", "runs/run", "--trials", "3")
    assert (status, err) == (
        2,
        "tune-ode: --trials is not an option of `tune-ode compare`, which started runs/run; leave "
        "it out\n",
    )


def test_trainings_that_all_fail(tune_ode, fake_trainings):
    fake_trainings(lambda task, **_: Training(task, outcome=Outcome.DIVERGED))
    status, _, err = tune_ode("compare", *OPTIONS)
    assert status == 1
    assert "no training completed (2 diverged)" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["--cases", "rk4:adjont"], "did you mean 'adjoint'"),
        (["--seeds", "0"], "--seeds"),
        (["--epochs", "0"], "--epochs"),
        (["--casse", "resnet"], "did you mean '--cases'?"),
    ],
)
def test_invalid_arguments_are_rejected_in_one_line(usage_error, arguments, remedy):
    assert remedy in usage_error("compare", *arguments)
