"""Records are strict JSON; files are replaced atomically and damaged lines are skipped."""

import dataclasses
import json
import math
from unittest.mock import Mock

import pytest

from tests.factories import make_report
from tune_ode import records
from tune_ode.records import Report, RunManifest, TrialResult, TrialSpec

REPORT = make_report()


def test_a_report_round_trips_and_non_finite_numbers_become_null():
    report = dataclasses.replace(REPORT, train_loss=math.nan, val_loss=math.inf)
    text = records.dumps(report.to_json())
    assert json.loads(text)["train_loss"] is None
    assert json.loads(text)["val_loss"] is None
    assert Report.from_json(json.loads(records.dumps(REPORT.to_json()))) == REPORT


def test_unknown_keys_are_ignored():
    assert Report.from_json(REPORT.to_json() | {"later": 1}) == REPORT


def test_truncated_and_foreign_lines_are_skipped(tmp_path):
    good = records.dumps(REPORT.to_json())
    path = tmp_path / records.REPORTS
    path.write_text(f"{good}\n[1, 2]\n{{}}\nnot json\n\n{good[: len(good) // 2]}")
    assert list(records.read_reports(path)) == [REPORT]
    assert list(records.read_reports(tmp_path / "none")) == []


def test_the_last_report_of_an_epoch_wins_and_epochs_are_in_order():
    again = dataclasses.replace(REPORT, attempt=2, val_accuracy=0.7)
    second = dataclasses.replace(REPORT, epoch=2.0)
    assert records.dedupe_by_epoch(iter([second, REPORT, again])) == [again, second]


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    records.write_atomic(path, "old")
    full = OSError(28, "No space left on device")
    monkeypatch.setattr("os.fsync", Mock(side_effect=full))
    with pytest.raises(OSError, match="No space"):
        records.write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("record", [Report, TrialSpec, TrialResult, RunManifest])
def test_every_record_has_a_schema_version(record):
    assert {field.name for field in dataclasses.fields(record)} >= {"schema_version"}


def test_a_path_that_is_not_unicode_is_read_back(tmp_path):
    record = {"data_dir": "/caf\udce9/🙂"}
    records.write_atomic(tmp_path / "file.json", records.dumps(record))
    assert records.read_json(tmp_path / "file.json") == record
