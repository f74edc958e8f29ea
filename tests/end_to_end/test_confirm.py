"""`confirm` on a finished search of the digits: real processes, trainings, kills and Ctrl-C."""

import json

import pytest

from tests.end_to_end.conftest import RunReader

pytestmark = [pytest.mark.long, pytest.mark.timeout(800)]


def wait_for_another(command, trainings, kept):
    """Wait until another training has finished and the next one has started."""
    trainings.wait_for(
        lambda run: len(run.specs()) > len(run.finished()) > len(kept),
        timeout=240, process=command.process,
    )  # fmt: skip


def test_a_killed_and_interrupted_confirmation_is_continued(tune_ode, finished_search):
    """Of the best two on two seeds."""
    command = ("confirm", finished_search.folder, "--top", 2, "--seeds", 2)
    trainings = RunReader(finished_search.folder / "confirm")
    confirm = tune_ode(*command)
    wait_for_another(confirm, trainings, {})
    confirm.kill()
    kept = trainings.finished()
    confirm = tune_ode(*command)
    wait_for_another(confirm, trainings, kept)
    confirm.interrupt()
    status, _, err = confirm.wait(timeout=120)
    assert status == 130
    assert "to continue: tune-ode confirm runs/run" in err
    assert err.count("\n") == 1
    assert trainings.finished().items() >= kept.items()
    kept = trainings.finished()

    out = tune_ode("confirm", finished_search.folder, COLUMNS="200").succeed(timeout=700)
    assert trainings.finished().items() >= kept.items()
    specs = trainings.specs().values()
    trained = {(spec["confirms"], spec["config"]["seed"]) for spec in specs}
    assert len(trainings.finished()) == len(specs) == len(trained)

    assert "vs. default" in out
    rows = json.loads((finished_search.folder / "report" / "confirmed.json").read_text())
    assert sum(row["is_default"] for row in rows) == 1
    for row in rows:
        assert row["trainings"] == row["completed"] == 2
        assert 0.1 < row["test_accuracy"] <= 1
        assert row["test_accuracy_low"] <= row["test_accuracy"] <= row["test_accuracy_high"]
        assert row["ode_gap"] is not None
        assert len(row["solved"]) > 8
        assert [latency["batch"] for latency in row["latencies"]] == [1, 256]
    probabilities = [row["prob_best"] for row in rows]
    if None in probabilities:  # unknown if no configuration reached the floor twice
        assert max(row["reached_floor"] for row in rows) == 1
    else:
        assert sum(probabilities) == pytest.approx(1, abs=1e-6)
    page = (finished_search.folder / "report" / "index.html").read_text()
    assert "Retrained in isolation on 2 fresh seeds" in page
