"""`confirm` on a finished search of the digits: real processes, trainings, kills and Ctrl-C."""

import json

import pytest

from tests.end_to_end.conftest import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(800)]


def finished(run):
    """Return the content of the result of every training that needs no resume."""
    files = sorted((run.folder / "confirm").glob("trials/*/outcome.json"))
    found = {file.parent.name: json.loads(file.read_text()) for file in files}
    return {name: one for name, one in found.items() if one["outcome"] != "interrupted"}


def wait_for_another(command, run, kept):
    """Wait until another training has finished and the next one has started."""
    folder = run.folder / "confirm" / "trials"
    wait_until(
        lambda: len(list(folder.glob("*/config.json"))) > len(finished(run)) > len(kept),
        process=command.process,
    )


def test_the_best_two_on_two_seeds(tune_ode, finished_search):
    confirm = tune_ode("confirm", finished_search.folder, "--top", 2, "--seeds", 2, COLUMNS="200")
    status, out, err = confirm.wait(timeout=700)
    assert (status, err) == (0, "")
    assert "against the default" in out
    rows = json.loads((finished_search.folder / "report" / "confirmed.json").read_text())
    assert sum(row["is_default"] for row in rows) == 1
    for row in rows:
        assert row["trainings"] == row["completed"] == 2
        assert 0.1 < row["test_accuracy"] <= 1
        assert row["test_accuracy_low"] <= row["test_accuracy"] <= row["test_accuracy_high"]
        assert row["cold_seconds"] > row["train_seconds"]
        assert row["ode_gap"] is not None
        assert len(row["solved"]) > 8
        assert [latency["batch"] for latency in row["latencies"]] == [1, 256]
    probabilities = [row["probability_first"] for row in rows]
    if None in probabilities:  # unknown if no configuration reached the floor twice
        assert max(row["reached_floor"] for row in rows) == 1
    else:
        assert sum(probabilities) == pytest.approx(1, abs=1e-6)
    page = (finished_search.folder / "report" / "index.html").read_text()
    assert "Trained again, alone and on 2 fresh seeds" in page


def test_a_killed_or_interrupted_confirmation_is_continued(tune_ode, finished_search):
    command = ("confirm", finished_search.folder, "--top", 2, "--seeds", 2)
    kept = {}
    for _ in range(2):
        confirm = tune_ode(*command)
        wait_for_another(confirm, finished_search, kept)
        confirm.kill()
        assert finished(finished_search).items() >= kept.items()
        kept = finished(finished_search)
    confirm = tune_ode(*command)
    if len(kept) < 3:
        wait_for_another(confirm, finished_search, kept)
        confirm.interrupt()
        status, _, err = confirm.wait(timeout=120)
        assert status == 130
        assert "to continue: tune-ode confirm runs/run" in err
        assert err.count("\n") == 1
        confirm = tune_ode("confirm", finished_search.folder)
    status, _, err = confirm.wait()
    assert (status, err) == (0, "")
    found = finished(finished_search)
    assert found.items() >= kept.items()
    specs = [
        json.loads(file.read_text())
        for file in (finished_search.folder / "confirm").glob("trials/*/config.json")
    ]
    trained = {(spec["confirms"], spec["config"]["seed"]) for spec in specs}
    assert len(found) == len(specs) == len(trained)
