"""`confirm` as it is typed: refusals, the failing default, JSON, an interrupt, a second one."""

import json
import os
import signal

import pytest

from analysis.load import load_run
from analysis.rank import rank
from tune_ode.cli.main import run as run_command
from tune_ode.config import TrialConfig
from tune_ode.records import (
    Confirmation,
    Outcome,
    Report,
    RunManifest,
    TrialResult,
)
from tune_ode.replication import confirm as confirm_module
from tune_ode.replication.confirm import locked
from tune_ode.replication.subprocess import TrainingDone
from tune_ode.runs.folder import RunFolder
from tune_ode.worker.task import TrialEnd

RATES = {0.1: 2.0, 0.3: 1.0, 0.5: 4.0}
"""Learning rate → seconds to 0.9 in the search: the default's 0.1, a lucky one, a slow one."""


def line(trial_id, seconds, attempt=1):
    return Report(
        trial_id=trial_id, attempt=attempt, timestamp=0.0, epoch=1.0, train_seconds=seconds,
        warmup_seconds=0.1, epoch_seconds=1.0, eval_seconds=0.1, wall_seconds=1.2 * seconds,
        cpu_seconds=seconds, train_loss=1.0, train_accuracy=0.9, val_loss=1.0, val_accuracy=0.9,
        nfe_forward=4.0, nfe_backward=0.0, vjp_backward=4.0, solver_steps=1.0, rejected_steps=0.0,
        learning_rate=0.1, samples_per_second=100.0, peak_memory_bytes=None, device="cpu",
        node="here", concurrent_trials=1,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A run of three trials, of which the first is the default configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    run = RunFolder.create(
        tmp_path / "run",
        RunManifest(
            name="run", state="finished", options={"command": "search", "dataset": "digits"},
            space={}, base=TrialConfig().to_dict(), chance=0.1, trial_seconds=6.0, created=0.0,
        ),
    )  # fmt: skip
    for rate, seconds in RATES.items():
        config = TrialConfig().with_values({"optimizer.learning_rate": rate})
        setup = run.add_trial(config.to_dict(), {"optimizer.learning_rate": rate}, 0.0)
        run.append(line(setup.trial_id, seconds))
        run.end(
            TrialResult(
                trial_id=setup.trial_id, attempt=1, outcome=Outcome.COMPLETED, started=0, ended=1
            )
        )
    run.close()
    return tmp_path / "run"


class Training(list):
    """Words that are made up: confirmed, the default is the fastest."""

    def __init__(self, task, *, first, break_down=False):
        rate = task.config["optimizer"]["learning_rate"]
        seconds = {0.1: 0.5, 0.3: 3.0, 0.5: 4.0}[rate] * (1 + 0.01 * (task.config["seed"] % 10))
        found = Confirmation(
            trial_id=task.trial_id, test_accuracy=0.88, test_loss=0.1, test_images=100,
            solve_images=100, solves=[], reference=None, latencies=[], threads=1, cold_seconds=9.0,
        )  # fmt: skip
        super().__init__(
            [TrialEnd(outcome=Outcome.OUT_OF_MEMORY, reason="8 GiB")]
            if break_down
            else [
                line(task.trial_id, seconds), TrainingDone(), found, TrialEnd(outcome=Outcome.COMPLETED)
            ]
        )  # fmt: skip

    def close(self):
        pass


@pytest.fixture
def said(capsys, monkeypatch):
    """Return a function that runs a command and returns status, output and errors."""
    monkeypatch.setattr(confirm_module, "Retraining", Training)
    # they take seconds, and are drawn in tests of their own
    monkeypatch.setattr("analysis.report.pictures", lambda run, ranking: [])

    def say(*arguments):
        status = run_command([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return status, printed.out, printed.err

    return say


def test_a_winner_that_does_not_beat_the_default_is_said_to_have_failed(said, folder):
    assert rank(load_run(folder)).to_records()[0]["trial_id"] == "0002", "the search's winner"
    status, out, err = said("confirm", folder, "--top", "1", "--seeds", "3")
    assert (status, err) == (0, "")
    assert "6 trainings, one at a time" in out
    assert out.count("completed: test accuracy 0.8800") == 6
    table = out[out.index("place") :]
    assert table.index("0001 ") < table.index("0002 "), "re-ranked"
    assert "failed: does not beat the default" in table
    assert "Trial 0002 has failed: it does not beat the default configuration" in out
    assert "The search has failed" in out
    page = (folder / "report" / "index.html").read_text()
    assert "failed: does not beat the default" in page
    assert "The search has failed" in page


def test_json_alone_is_on_standard_output(said, folder):
    status, out, err = said("confirm", folder, "--top", "2", "--seeds", "2", "--json")
    rows = json.loads(out)
    assert status == 0
    assert [row["trial_id"] for row in rows] == ["0001", "0002"]
    assert rows[0]["is_default"]
    assert rows == json.loads((folder / "report" / "confirmed.json").read_text())
    assert "trainings" in err


def test_a_second_time_it_has_nothing_to_do_but_to_tell(said, folder, monkeypatch):
    said("confirm", folder, "--top", "1", "--seeds", "2")

    def started(task, *, first):
        pytest.fail("it was trained already")

    monkeypatch.setattr(confirm_module, "Retraining", started)
    status, out, _ = said("confirm", folder)
    assert status == 0
    assert "failed: does not beat the default" in out


def test_check_prints_the_plan_and_runs_nothing(said, folder):
    status, out, _ = said("confirm", folder, "--check")
    assert status == 0
    assert "trials 0002, 0001, 0003" in out
    assert "default configuration: 0001" in out
    assert "15 trainings, one at a time, up to 6 s of training each" in out
    assert not (folder / "confirm").exists()


def test_ctrl_c_ends_with_130_and_the_command_that_continues(said, folder, monkeypatch):
    def interrupted(task, *, first):
        training = Training(task, first=first)
        if task.trial_id == "0003":
            os.kill(os.getpid(), signal.SIGINT)
            training[1:] = [TrialEnd(outcome=Outcome.INTERRUPTED)]
        return training

    monkeypatch.setattr(confirm_module, "Retraining", interrupted)
    status, out, err = said("confirm", folder, "--top", "1", "--seeds", "3")
    assert status == 130
    assert err == "tune-ode: interrupted; to continue: tune-ode confirm run\n"
    assert "place" in out, "what is confirmed so far"
    monkeypatch.setattr(confirm_module, "Retraining", Training)
    status, out, _ = said("confirm", folder)
    assert status == 0
    assert out.count("completed: test accuracy") == 4


def test_trainings_that_all_break_down(said, folder, monkeypatch):
    monkeypatch.setattr(
        confirm_module, "Retraining",
        lambda task, first: Training(task, first=first, break_down=True),
    )  # fmt: skip
    status, _, err = said("confirm", folder, "--top", "1", "--seeds", "2")
    assert status == 1
    assert "no training was completed (4 out_of_memory)" in err
    assert err.count("\n") == 1


def test_a_second_confirmation_at_once_is_refused(said, folder):
    with locked(folder):
        status, out, err = said("confirm", folder)
    assert (status, out) == (2, "")
    assert "another process is writing to" in err
    assert err.count("\n") == 1


def test_a_confirmation_is_a_run_that_other_commands_read_but_do_not_resume(said, folder):
    said("confirm", folder, "--top", "1", "--seeds", "2")
    status, out, _ = said("rank", folder / "confirm")
    assert status == 0
    assert "0004" in out
    status, _, err = said("resume", folder / "confirm")
    assert status == 2
    assert "continue it with: tune-ode confirm run" in err


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["nowhere"], "not a run directory"),
        (["run", "--top", "0"], "--top"),
        (["run", "--top", "many"], "--top"),
        (["run", "--seeds", "1"], "--seeds"),
        (["run", "--sedes", "3"], "did you mean '--seeds'?"),
        ([], "RUN"),
    ],
)
def test_what_is_refused_is_said_in_one_line(said, folder, arguments, remedy):
    status, out, err = said("confirm", *arguments)
    assert (status, out) == (2, "")
    assert remedy in err
    assert err.count("\n") == 1
    assert not (folder / "confirm").exists()


def test_data_that_are_gone(said, folder):
    manifest = json.loads((folder / "run.json").read_text())
    manifest["base"]["data"]["dataset"] = "folder:/no/such/folder"
    (folder / "run.json").write_text(json.dumps(manifest))
    status, out, err = said("confirm", folder)
    assert (status, out) == (2, "")
    assert "does not exist" in err
    assert not (folder / "confirm").exists()
