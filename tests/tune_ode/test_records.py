"""What is written is strict JSON, whole or not at all; what a crash leaves behind is survived."""

import dataclasses
import json
import math

import pytest

from tune_ode import records
from tune_ode.records import Report, RunManifest, TrialResult, TrialSpec

LINE = Report(
    trial_id="0001", attempt=1, timestamp=0.0, epoch=1.0, train_seconds=2.0, warmup_seconds=0.1,
    epoch_seconds=2.0, eval_seconds=0.1, wall_seconds=2.3, cpu_seconds=2.2, train_loss=0.5,
    train_accuracy=0.8, val_loss=0.4, val_accuracy=0.9, nfe_forward=4.0, nfe_backward=0.0,
    vjp_backward=4.0, solver_steps=1.0, rejected_steps=0.0, learning_rate=0.1,
    samples_per_second=100.0, peak_memory_bytes=None, device="cpu", node="here",
    concurrent_trials=2,
)  # fmt: skip


def test_a_line_round_trips_and_numbers_that_are_not_finite_become_null():
    line = dataclasses.replace(LINE, train_loss=math.nan, val_loss=math.inf)
    text = records.dumps(line.to_json())
    assert json.loads(text)["train_loss"] is None
    assert json.loads(text)["val_loss"] is None
    assert Report.from_json(json.loads(records.dumps(LINE.to_json()))) == LINE


def test_a_key_of_a_later_version_is_passed_over():
    assert Report.from_json(LINE.to_json() | {"later": 1}) == LINE


def test_half_a_line_and_foreign_lines_are_passed_over(tmp_path):
    good = records.dumps(LINE.to_json())
    path = tmp_path / records.REPORTS
    path.write_text(f"{good}\n[1, 2]\n{{}}\nnot json\n\n{good[: len(good) // 2]}")
    assert list(records.read_reports(path)) == [LINE]
    assert list(records.read_reports(tmp_path / "none")) == []


def test_the_last_line_of_an_epoch_wins_and_epochs_are_in_order():
    again = dataclasses.replace(LINE, attempt=2, val_accuracy=0.7)
    second = dataclasses.replace(LINE, epoch=2.0)
    assert records.dedupe_by_epoch(iter([second, LINE, again])) == [again, second]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    records.write_atomic(path, "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        records.write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("record", [Report, TrialSpec, TrialResult, RunManifest])
def test_every_record_carries_the_schema_version(record):
    assert {field.name for field in dataclasses.fields(record)} >= {"schema_version"}
