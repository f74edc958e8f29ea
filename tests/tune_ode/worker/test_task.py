"""A trial ends with exactly one message that says how, whatever goes wrong inside it."""

import dataclasses

import pytest
import torch

from tune_ode.errors import DataError, SolveFailed, StorageFull
from tune_ode.records import LAST_CHECKPOINT, STOP_FILE, Outcome, Report
from tune_ode.training import Diverged
from tune_ode.worker import task as task_module
from tune_ode.worker.task import Task, TrialEnd, run_trial


def test_lines_then_one_ending(task):
    *lines, ending = run_trial(task)
    assert [line.epoch for line in lines] == [1, 2]
    assert all(isinstance(line, Report) for line in lines)
    assert ending == TrialEnd(outcome=Outcome.COMPLETED)


def test_a_task_survives_the_way_to_another_process(task):
    assert Task(**task.to_dict()) == task


def test_a_stopped_run_leaves_a_checkpoint_to_go_on_from(task, tmp_path, monkeypatch):
    monkeypatch.setattr(task_module, "STOP_POLL_SECONDS", 0.0)
    (tmp_path / STOP_FILE).touch()
    (ending,) = run_trial(task)
    assert ending.outcome is Outcome.INTERRUPTED
    assert (tmp_path / "trials" / "0001" / LAST_CHECKPOINT).exists()
    (tmp_path / STOP_FILE).unlink()
    *lines, ending = run_trial(dataclasses.replace(task, attempt=2))
    assert [line.epoch for line in lines] == [1, 2]
    assert ending.outcome is Outcome.COMPLETED


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (Diverged("the loss is not finite"), Outcome.DIVERGED, "the loss is not finite"),
        (SolveFailed("underflow"), Outcome.DIVERGED, "underflow"),
        (torch.OutOfMemoryError("CUDA out of memory"), Outcome.OUT_OF_MEMORY, "CUDA out of memory"),
        (MemoryError(), Outcome.OUT_OF_MEMORY, "MemoryError"),
        (StorageFull("no space"), Outcome.INTERRUPTED, "no space"),
        (DataError("gone\nfor good"), Outcome.FAILED, "DataError: gone"),
        (ZeroDivisionError("x"), Outcome.FAILED, "ZeroDivisionError: x"),
    ],
)
def test_what_goes_wrong_is_an_outcome_and_never_an_exception(
    task, monkeypatch, error, outcome, reason
):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("tune_ode.training.training_loop", fail)
    (ending,) = run_trial(task)
    assert (ending.outcome, ending.reason) == (outcome, reason)
    assert (ending.traceback is not None) == (outcome is Outcome.FAILED)


def test_memory_that_a_cpu_really_lacks(task, monkeypatch):
    """The allocator of a CPU raises a plain RuntimeError; it is recognised all the same."""
    monkeypatch.setattr("tune_ode.training.training_loop", lambda *_, **__: torch.empty(2**55))
    (ending,) = run_trial(task)
    assert ending.outcome is Outcome.OUT_OF_MEMORY
