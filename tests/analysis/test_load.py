"""Loading of finished, running, restarted, crashed and damaged runs."""

import json

import pytest

from analysis.load import load_run
from tune_ode import records
from tune_ode.errors import RunFolderError


def outcomes(run):
    return dict(zip(run.trials["trial_id"], run.trials["outcome"], strict=True))


def test_a_trial_without_an_outcome_is_running(by_hand):
    run = load_run(by_hand)
    assert outcomes(run) == {
        "0001": "completed", "0002": "stopped", "0003": "completed", "0004": "stopped",
        "0005": "diverged", "0006": "failed", "0007": "out_of_memory", "0008": "interrupted",
        "0009": "running",
    }  # fmt: skip
    assert len(run.reports) == 3 + 2 + 3 + 1 + 0 + 1 + 0 + 2 + 1


def test_the_last_report_of_an_epoch_counts(make_run):
    run = make_run()
    run.trial("0001", [(1.0, 0.5), (2.0, 0.9)])
    run.append("0001", 2, 3.0, 0.6, attempt=2)
    reports = load_run(run.folder).reports
    assert reports[["epoch", "val_accuracy", "attempt"]].to_numpy().tolist() == [
        [1.0, 0.5, 1],
        [2.0, 0.6, 2],
    ]


def test_a_resumed_trial_is_running(make_run):
    run = make_run()
    run.trial("0001", [(1.0, 0.5)], "interrupted", reason="Ctrl-C")
    assert outcomes(load_run(run.folder)) == {"0001": "interrupted"}
    run.append("0001", 2, 3.0, 0.6, attempt=2)
    resumed = load_run(run.folder).trials
    assert resumed[["outcome", "reason", "attempt"]].to_numpy().tolist() == [["running", "", 2]]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"outcome": "won"}'])
def test_an_invalid_outcome_file_is_ignored(make_run, text):
    run = make_run()
    (run.trial("0001", [(1.0, 0.5)]) / records.OUTCOME).write_text(text)
    assert outcomes(load_run(run.folder)) == {"0001": "running"}


def test_null_becomes_nan(make_run):
    run = make_run()
    run.trial("0001", [(1.0, None), (2.0, 0.5)])
    reports = load_run(run.folder).reports
    assert reports["val_accuracy"].isna().tolist() == [True, False]
    assert reports["peak_memory_bytes"].isna().all()


def load_error(folder):
    with pytest.raises(RunFolderError) as caught:
        load_run(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_invalid_run_directories_are_rejected_in_one_line(make_run, tmp_path):
    assert "not a run directory" in load_error(tmp_path / "nothing")
    file = tmp_path / "file"
    file.touch()
    assert "pass a run directory" in load_error(file)
    manifest = make_run().folder / records.MANIFEST
    manifest.write_text(manifest.read_text()[:40])
    assert "run.json is damaged: it is not JSON" in load_error(manifest.parent)
    manifest.write_text(json.dumps({"name": "half", "schema_version": records.SCHEMA_VERSION}))
    assert "damaged" in load_error(manifest.parent)


def test_a_damaged_trial_is_passed_over_and_named(make_run):
    run = make_run()
    (run.trial("0001", []) / records.CONFIG).write_text("{}")
    run.trial("0002", [(1.0, 0.5)])
    loaded = load_run(run.folder)
    assert outcomes(loaded) == {"0002": "completed"}
    assert loaded.passed_over == ["0001/config.json (trial_id: Field required)"]
