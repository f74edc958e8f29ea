"""A trial yields its reports and then exactly one end, also after an error."""

import dataclasses
import resource
from unittest.mock import Mock

import pytest
import torch

from tests.factories import make_report
from tune_ode.errors import DataError, SolveFailed, StorageFull
from tune_ode.records import LAST_CHECKPOINT, STOP_FILE, Outcome, Report
from tune_ode.training import Diverged
from tune_ode.worker import task as task_module
from tune_ode.worker.task import Task, TrialEnd, classify_error, run_trial


def test_a_task_round_trips_through_plain_values(task):
    assert Task(**task.to_dict()) == task


def test_a_stopped_trial_saves_a_checkpoint_to_resume_from(task, tmp_path, monkeypatch):
    monkeypatch.setattr(task_module, "STOP_POLL_SECONDS", 0.0)
    (tmp_path / STOP_FILE).touch()
    (end,) = run_trial(task)
    assert end.outcome is Outcome.INTERRUPTED
    assert (tmp_path / "trials" / "0001" / LAST_CHECKPOINT).exists()
    (tmp_path / STOP_FILE).unlink()
    *reports, end = run_trial(dataclasses.replace(task, attempt=2))
    assert [report.epoch for report in reports] == [1, 2]
    assert end == TrialEnd(outcome=Outcome.COMPLETED)


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (Diverged("the loss is not finite"), Outcome.DIVERGED, "the loss is not finite"),
        (SolveFailed("underflow"), Outcome.DIVERGED, "underflow"),
        (torch.OutOfMemoryError("CUDA out of memory"), Outcome.OUT_OF_MEMORY, "CUDA out of memory"),
        (
            torch.AcceleratorError("CUDA error: out of memory"),
            Outcome.OUT_OF_MEMORY,
            "CUDA error: out of memory",
        ),
        (MemoryError(), Outcome.OUT_OF_MEMORY, "MemoryError"),
        (StorageFull("no space"), Outcome.INTERRUPTED, "no space"),
        (DataError("gone\nfor good"), Outcome.FAILED, "DataError: gone"),
        (ZeroDivisionError("x"), Outcome.FAILED, "ZeroDivisionError: x"),
    ],
)
def test_an_error_becomes_an_outcome(task, monkeypatch, error, outcome, reason):
    monkeypatch.setattr("tune_ode.training.training_loop", Mock(side_effect=error))
    (end,) = run_trial(task)
    assert (end.outcome, end.reason) == (outcome, reason)
    assert (end.traceback is not None) == (outcome is Outcome.FAILED)


@pytest.mark.parametrize(
    ("error", "usable"),
    [
        (None, True),
        (torch.AcceleratorError("CUDA error: out of memory"), True),
        (ValueError("a bad vector field"), True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
         False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("release_fails", [False, True])
def test_a_broken_device_makes_the_process_unusable_but_changes_no_outcome(
    task, monkeypatch, error, usable, release_fails
):
    """Every later call of CUDA fails too, `empty_cache` included."""
    persists = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
    monkeypatch.setattr("tune_ode.data.trial_data", Mock())
    training = Mock(return_value=iter(()), side_effect=error)
    monkeypatch.setattr("tune_ode.training.training_loop", training)
    empty_cache = Mock(side_effect=persists if release_fails else None)
    monkeypatch.setattr("torch.cuda.empty_cache", empty_cache)
    (end,) = run_trial(dataclasses.replace(task, device="cuda"))
    assert empty_cache.called
    assert end.process_usable is (usable and not release_fails)
    expected = Outcome.COMPLETED if error is None else classify_error(error).outcome
    assert end.outcome is expected


def test_a_broken_device_is_noticed_when_a_trial_is_stopped(task, monkeypatch):
    """The error ends the process before the next trial starts in it."""
    monkeypatch.setattr("tune_ode.data.trial_data", Mock())
    monkeypatch.setattr("tune_ode.training.training_loop", Mock(return_value=iter([make_report()])))
    monkeypatch.setattr("torch.cuda.empty_cache", Mock(side_effect=torch.AcceleratorError("x")))
    events = run_trial(dataclasses.replace(task, device="cuda"))
    next(events)
    with pytest.raises(torch.AcceleratorError):
        events.close()


def test_a_checkpoint_that_does_not_fit_into_memory_is_not_damaged(task, monkeypatch):
    list(run_trial(task))
    monkeypatch.setattr("torch.load", Mock(side_effect=MemoryError("no memory for 8 GB")))
    (end,) = run_trial(task)
    assert (end.outcome, end.reason) == (Outcome.OUT_OF_MEMORY, "no memory for 8 GB")


def test_an_allocation_that_fails_on_a_cpu_is_out_of_memory(task, monkeypatch):
    """The CPU allocator raises a plain RuntimeError."""
    monkeypatch.setattr("tune_ode.training.training_loop", lambda *_, **__: torch.empty(2**55))
    (end,) = run_trial(task)
    assert end.outcome is Outcome.OUT_OF_MEMORY


def test_a_file_size_limit_interrupts_a_trial_that_can_be_resumed(task):
    *reports, end = run_trial(task)
    assert [report.epoch for report in reports] == [1, 2]
    assert all(isinstance(report, Report) for report in reports)
    assert end == TrialEnd(outcome=Outcome.COMPLETED)
    size = (task.folder / LAST_CHECKPOINT).stat().st_size
    (task.folder / LAST_CHECKPOINT).unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, before[1]))
    try:
        (end,) = run_trial(task)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert end.outcome is Outcome.INTERRUPTED
    assert "File too large; free some space, then resume the run" in end.reason
    *again, end = run_trial(task)
    assert end.outcome is Outcome.COMPLETED
    assert [report.val_accuracy for report in again] == [one.val_accuracy for one in reports]
