"""The command `confirm`: invalid arguments, failed winners, JSON, interrupts, repetition."""

import json
import os
import signal

import pytest

from analysis.load import load_run
from analysis.ranking import rank
from tests.factories import make_confirmation, make_manifest, make_report, make_result
from tests.tune_ode.conftest import Events
from tune_ode.cli.app import new_console
from tune_ode.cli.display.result import print_result
from tune_ode.config import TrialConfig
from tune_ode.records import Outcome
from tune_ode.replication import train as train_module
from tune_ode.replication.subprocess import TrainingDone
from tune_ode.replication.train import locked
from tune_ode.runs.folder import RunFolder
from tune_ode.tuning.launch import SearchResult
from tune_ode.worker.task import TrialEnd

RATES = {0.1: 2.0, 0.3: 1.0, 0.5: 4.0}
"""Learning rate → seconds to 0.9 in the search: the default, a lucky trial, a slow trial."""


@pytest.fixture
def run_path(tmp_path, monkeypatch):
    """Return a run of three trials, of which the first is the default configuration."""
    monkeypatch.setenv("COLUMNS", "200")
    manifest = make_manifest(
        state="finished", trial_seconds=6.0, options={"command": "search", "dataset": "digits"}
    )
    run = RunFolder.create(tmp_path / "run", manifest)
    for rate, seconds in RATES.items():
        config = TrialConfig().with_values({"optimizer.learning_rate": rate})
        spec = run.add_trial(config.to_dict(), {"optimizer.learning_rate": rate}, 0.0)
        run.append(make_report(spec.trial_id, 1, 0.9, seconds=seconds))
        run.write_result(make_result(spec.trial_id))
    run.close()
    return tmp_path / "run"


class Training(Events):
    """Events of a fake training in which the default configuration is the fastest."""

    def __init__(self, task, *, fails=False, **_):
        rate = task.config["optimizer"]["learning_rate"]
        seconds = {0.1: 0.5, 0.3: 3.0, 0.5: 4.0}[rate] * (1 + 0.01 * (task.config["seed"] % 10))
        scores = make_confirmation(
            task.trial_id, test_accuracy=0.88, solves=[], reference=None, latencies=[]
        )
        super().__init__(
            [TrialEnd(outcome=Outcome.OUT_OF_MEMORY, reason="8 GiB")]
            if fails
            else [
                make_report(task.trial_id, 1, 0.9, seconds=seconds), TrainingDone(), scores,
                TrialEnd(outcome=Outcome.COMPLETED),
            ]
        )  # fmt: skip


@pytest.fixture(autouse=True)
def fake_trainings(monkeypatch, no_pictures):
    """Replace the training processes; return a function that replaces them again."""

    def replace(start):
        monkeypatch.setattr(train_module, "TrainingProcess", start)

    replace(Training)
    return replace


def test_a_winner_that_does_not_beat_the_default_failed(tune_ode, run_path):
    assert rank(load_run(run_path)).to_records()[0]["trial_id"] == "0002", "the search's winner"
    status, out, err = tune_ode("confirm", run_path, "--top", "1", "--seeds", "3")
    assert (status, err) == (0, "")
    assert "6 trainings, one at a time" in out
    assert out.count("completed: test accuracy 0.8800") == 6
    table = out[out.index("rank  ") :]
    assert table.index("0001 ") < table.index("0002 "), "re-ranked"
    assert "failed: does not beat the default" in table
    assert "Trial 0002 failed: it does not beat the default configuration" in out
    assert "The search failed" in out
    page = (run_path / "report" / "index.html").read_text()
    assert "failed: does not beat the default" in page
    assert "The search failed" in page


def test_confirm_and_report_load_the_search_and_the_confirmation_once(tune_ode, run_path, calls):
    tune_ode("confirm", run_path, "--top", "1", "--seeds", "2")
    assert calls == ["load run", "rank run", "load confirm"]
    calls.clear()
    status, out, _ = tune_ode("report", run_path)
    assert (status, out) == (0, f"{run_path / 'report' / 'index.html'}\n")
    assert sorted(calls) == ["load confirm", "load run", "rank run"]


def test_the_end_of_a_search_loads_and_ranks_the_run_once(run_path, calls, capsys):
    result = SearchResult(run_folder=run_path, interrupted=False, stop_reason=None, failed=False)
    print_result(result, new_console())
    assert "report    run/report/index.html" in capsys.readouterr().out
    assert sorted(calls) == ["load run", "rank run"]


def test_json_is_the_only_standard_output(tune_ode, run_path):
    status, out, err = tune_ode("confirm", run_path, "--top", "2", "--seeds", "2", "--json")
    rows = json.loads(out)
    assert status == 0
    assert [row["trial_id"] for row in rows] == ["0001", "0002"]
    assert rows[0]["is_default"]
    assert rows == json.loads((run_path / "report" / "confirmed.json").read_text())
    assert "trainings" in err


def test_a_finished_confirmation_is_printed_without_training(tune_ode, run_path, fake_trainings):
    tune_ode("confirm", run_path, "--top", "1", "--seeds", "2")
    fake_trainings(lambda *_, **__: pytest.fail("it was trained already"))
    status, out, _ = tune_ode("confirm", run_path)
    assert status == 0
    assert "failed: does not beat the default" in out


def test_check_prints_the_plan_and_trains_nothing(tune_ode, run_path):
    status, out, _ = tune_ode("confirm", run_path, "--check")
    assert status == 0
    assert "trials 0002, 0001, 0003" in out
    assert "default configuration: 0001" in out
    assert "15 trainings, one at a time, up to 6 s of training each" in out
    assert not (run_path / "confirm").exists()


def test_ctrl_c_ends_with_130_and_the_command_that_continues(tune_ode, run_path, fake_trainings):
    def interrupted(task, **_):
        training = Training(task)
        if task.trial_id == "0003":
            os.kill(os.getpid(), signal.SIGINT)
            training[1:] = [TrialEnd(outcome=Outcome.INTERRUPTED)]
        return training

    fake_trainings(interrupted)
    status, out, err = tune_ode("confirm", run_path, "--top", "1", "--seeds", "3")
    assert status == 130
    assert err == "tune-ode: interrupted; to continue: tune-ode confirm run\n"
    assert "P(best)" in out, "what is confirmed so far"
    fake_trainings(Training)
    status, out, _ = tune_ode("confirm", run_path)
    assert status == 0
    assert out.count("completed: test accuracy") == 4


def test_trainings_that_all_fail(tune_ode, run_path, fake_trainings):
    fake_trainings(lambda task, **_: Training(task, fails=True))
    status, _, err = tune_ode("confirm", run_path, "--top", "1", "--seeds", "2")
    assert status == 1
    assert "no training completed (4 out_of_memory)" in err
    assert err.count("\n") == 1


def test_a_concurrent_confirmation_is_rejected(usage_error, run_path):
    with locked(run_path):
        assert "another process is writing to" in usage_error("confirm", run_path)


def test_other_commands_read_a_confirmation_but_do_not_resume_it(tune_ode, run_path):
    tune_ode("confirm", run_path, "--top", "1", "--seeds", "2")
    status, out, _ = tune_ode("rank", run_path / "confirm")
    assert status == 0
    assert "0004" in out
    status, _, err = tune_ode("resume", run_path / "confirm")
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
def test_invalid_arguments_are_rejected_in_one_line(usage_error, run_path, arguments, remedy):
    assert remedy in usage_error("confirm", *arguments)
    assert not (run_path / "confirm").exists()
