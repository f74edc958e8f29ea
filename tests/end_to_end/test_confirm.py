"""`confirm` on a real search of the digits: real processes, trainings, kills and Ctrl-C."""

import json
import time

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(800)]
AMPLE = 700


def outcomes(run):
    """Content of the outcome of every training that needs no other."""
    files = sorted((run.folder / "confirm").glob("trials/*/outcome.json"))
    found = {file.parent.name: json.loads(file.read_text()) for file in files}
    return {name: one for name, one in found.items() if one["outcome"] != "interrupted"}


def wait_for_another(command, run, before, timeout=120):
    """Wait until more trainings have ended than before."""
    deadline = time.monotonic() + timeout
    while len(outcomes(run)) <= len(before):
        assert command.process.poll() is None, command.wait()
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def searched(tune_ode, run_folder, small):
    status, _, err = tune_ode("search", *small, "--trials", 6, "--time-budget", "90s").wait()
    assert (status, err) == (0, "")
    return run_folder


def test_the_best_three_on_three_seeds(tune_ode, searched):
    """The whole of it, uninterrupted: its time is told by --durations, and bounded amply."""
    confirm = tune_ode("confirm", searched.folder, "--top", 3, "--seeds", 3, COLUMNS="200")
    status, out, err = confirm.wait(timeout=AMPLE)
    assert (status, err) == (0, "")
    assert "against the default" in out
    rows = json.loads((searched.folder / "report" / "confirmed.json").read_text())
    assert sum(row["is_default"] for row in rows) == 1
    for row in rows:
        assert row["trainings"] == row["completed"] == 3
        assert 0.1 < row["test_accuracy"] <= 1
        assert row["test_accuracy_low"] <= row["test_accuracy"] <= row["test_accuracy_high"]
        assert row["cold_seconds"] > row["train_seconds"]
        assert row["ode_gap"] is not None
        assert len(row["solved"]) > 8
        assert [latency["batch"] for latency in row["latencies"]] == [1, 256]
    told = [row["probability_first"] for row in rows]
    if None in told:  # nothing is known of a spread where each reached the floor once at most
        assert max(row["reached_floor"] for row in rows) == 1
    else:
        assert sum(told) == pytest.approx(1, abs=1e-6)
    page = (searched.folder / "report" / "index.html").read_text()
    assert "Trained again, alone and on 3 fresh seeds" in page


def test_killed_and_interrupted_it_goes_on(tune_ode, searched):
    command = ("confirm", searched.folder, "--top", 1, "--seeds", 2)
    kept = {}
    for _ in range(2):
        confirm = tune_ode(*command)
        wait_for_another(confirm, searched, kept)
        time.sleep(6)  # into the next one's training
        confirm.kill()
        assert outcomes(searched).items() >= kept.items()
        kept = outcomes(searched)
    confirm = tune_ode(*command)
    if len(kept) < 4:
        time.sleep(6)
        confirm.interrupt()
        status, _, err = confirm.wait(timeout=120)
        if status != 0:  # it may have been done by then
            assert status == 130
            assert "to continue: tune-ode confirm runs/run" in err
            assert err.count("\n") == 1
            confirm = tune_ode("confirm", searched.folder)
    status, _, err = confirm.wait()
    assert (status, err) == (0, "")
    found = outcomes(searched)
    assert found.items() >= kept.items()
    setups = [
        json.loads(file.read_text())
        for file in (searched.folder / "confirm").glob("trials/*/config.json")
    ]
    trained = {(setup["confirms"], setup["config"]["seed"]) for setup in setups}
    assert len(found) == len(setups) == len(trained)
