"""`compare` as it is typed: the plan, the table and the paragraph, an interrupt, refusals."""

import os
import signal
from pathlib import Path

import pytest

from tune_ode.cli.main import run as run_command
from tune_ode.records import Outcome, Report
from tune_ode.replication import confirm as confirm_module
from tune_ode.worker.task import TrialEnd

SECONDS = {"euler": 1.0, "rk4": 2.0, "dopri5": 3.0}
ASKED = ("--dataset", "digits", "--epochs", "1", "--cases", "euler:adjoint,rk4:adjoint")


class Training(list):
    """A training that is made up: what it costs depends on its solver."""

    def __init__(self, task, *, first, ending=Outcome.COMPLETED):
        seconds = SECONDS[task.config["solver"]["method"]]
        line = Report(
            trial_id=task.trial_id, attempt=task.attempt, timestamp=0.0, epoch=1.0,
            train_seconds=seconds, warmup_seconds=0.1, epoch_seconds=seconds, eval_seconds=0.1,
            wall_seconds=seconds + 1, cpu_seconds=9.0, train_loss=1.0, train_accuracy=0.8,
            val_loss=1.0, val_accuracy=0.9, nfe_forward=4.0, nfe_backward=4.0, vjp_backward=4.0,
            solver_steps=1.0, rejected_steps=0.0, learning_rate=0.1, samples_per_second=100.0,
            peak_memory_bytes=None, device="cpu", node="here", concurrent_trials=1,
            test_loss=1.0, test_accuracy=0.85,
        )  # fmt: skip
        completed = ending is Outcome.COMPLETED
        super().__init__([line] * completed + [TrialEnd(outcome=ending, reason="so it is")])

    def close(self):
        pass


@pytest.fixture
def said(tmp_path, capsys, monkeypatch):
    """Return a function that runs a command and returns status, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(confirm_module, "Retraining", Training)
    # they take seconds, and are drawn in tests of their own
    monkeypatch.setattr("analysis.report.pictures", lambda run, ranking: [])

    def say(*arguments):
        status = run_command([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return status, printed.out, printed.err

    return say


def test_it_trains_and_tells_what_the_numbers_say(said):
    status, out, err = said("compare", *ASKED)
    assert (status, err) == (0, "")
    assert "1150 images to train on, 288 held out, 359 of the test set" in out
    assert out.count("completed: test accuracy 0.8500") == 2
    assert "rk4:adjoint with seed 1 completed" in out
    assert "euler:adjoint 1 < rk4:adjoint 2. The expected order holds." in out
    (page,) = Path("runs").glob("*/report/comparison.md")
    assert "The expected order holds." in page.read_text()
    status, out, _ = said("rank", page.parents[1])
    assert status == 0
    assert "euler, adjoint" in out


def test_check_trains_nothing(said, tmp_path):
    status, out, _ = said("compare", *ASKED, "--seeds", "3", "--check")
    assert status == 0
    assert "trainings 6, one at a time: 1 epoch, 3 seeds of each case" in out
    assert not (tmp_path / "runs").exists()


def test_ctrl_c_ends_with_130_and_resume_goes_on(said, monkeypatch):
    def interrupted(task, *, first):
        if task.trial_id == "0001":
            return Training(task, first=first)
        os.kill(os.getpid(), signal.SIGINT)
        return Training(task, first=first, ending=Outcome.INTERRUPTED)

    monkeypatch.setattr(confirm_module, "Retraining", interrupted)
    status, out, err = said("compare", *ASKED, "--name", "run")
    assert status == 130
    assert err == "tune-ode: interrupted; to continue: tune-ode resume runs/run\n"
    assert "1 training is to be done." in out
    monkeypatch.setattr(confirm_module, "Retraining", Training)
    status, out, _ = said("resume", "runs/run")
    assert status == 0
    assert out.count("completed: test accuracy") == 1
    assert "The expected order holds." in out
    status, _, err = said("resume", "runs/run", "--trials", "3")
    assert (status, err) == (2, "tune-ode: runs/run is a comparison, which has no --trials\n")


def test_trainings_that_all_break_down(said, monkeypatch):
    monkeypatch.setattr(
        confirm_module, "Retraining",
        lambda task, first: Training(task, first=first, ending=Outcome.DIVERGED),
    )  # fmt: skip
    status, _, err = said("compare", *ASKED)
    assert status == 1
    assert "no training was completed (2 diverged)" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["--cases", "rk4:adjont"], "did you mean 'adjoint'"),
        (["--seeds", "0"], "--seeds"),
        (["--epochs", "0"], "--epochs"),
        (["--dataset", "mnits"], "did you mean 'mnist'"),
        (["--fix", "solver.method=rk4"], "use --cases"),
        (["--casse", "resnet"], "did you mean '--cases'?"),
    ],
)
def test_what_is_refused_is_said_in_one_line(said, tmp_path, arguments, remedy):
    status, out, err = said("compare", *arguments)
    assert (status, out) == (2, "")
    assert remedy in err
    assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()
