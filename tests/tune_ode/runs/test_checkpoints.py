"""Checkpoints of a run in an object store are uploaded before their report, off the clock."""

import dataclasses
import threading
import time

import pytest

from tune_ode.records import BEST_CHECKPOINT, LAST_CHECKPOINT, STOP_FILE, Outcome
from tune_ode.remote_path import RemotePath
from tune_ode.runs import checkpoints as checkpoints_module
from tune_ode.runs import retry as retry_module
from tune_ode.runs.checkpoints import checkpoints, stop_flag
from tune_ode.worker.task import run_trial


@pytest.fixture
def trial(store):
    return store.path / "trials" / "0001"


@pytest.fixture
def remote_task(task, store, monkeypatch):
    """Yield the task with its run in the store."""
    monkeypatch.setattr(checkpoints_module, "run_path", lambda address: store.path)
    checkpoints_module.cached_run_path.cache_clear()
    checkpoints_module.stop_flag.cache_clear()
    yield dataclasses.replace(task, run_folder=store.path.url)
    checkpoints_module.cached_run_path.cache_clear()
    checkpoints_module.stop_flag.cache_clear()


def test_checkpoints_of_a_local_run_are_written_in_place(tmp_path):
    with checkpoints(tmp_path) as (directory, upload):
        assert directory == tmp_path
        upload()
    assert list(tmp_path.iterdir()) == []


def test_new_checkpoints_are_uploaded_once_and_best_first(trial, store):
    with checkpoints(trial) as (directory, upload):
        upload()
        assert store.writes == 0
        (directory / LAST_CHECKPOINT).write_bytes(b"1")
        (directory / BEST_CHECKPOINT).write_bytes(b"1")
        upload()
        upload()
        (directory / LAST_CHECKPOINT).unlink()
        (directory / LAST_CHECKPOINT).write_bytes(b"2")
        upload()
    written = [key.rpartition("/")[2] for what, key in store.requests if what == "write"]
    assert written == [BEST_CHECKPOINT, LAST_CHECKPOINT, LAST_CHECKPOINT]
    assert (trial / LAST_CHECKPOINT).read_bytes() == b"2"
    assert not directory.exists()


def test_another_node_starts_from_the_uploaded_checkpoint(trial, store):
    (trial / LAST_CHECKPOINT).write_bytes(b"uploaded")
    store.writes = 0
    with checkpoints(trial) as (directory, upload):
        assert (directory / LAST_CHECKPOINT).read_bytes() == b"uploaded"
        upload()
    assert store.writes == 0, "it has not changed"


def test_a_checkpoint_is_uploaded_before_its_report(remote_task, store):
    key = f"{remote_task.folder.key}/{LAST_CHECKPOINT}"
    events = run_trial(remote_task)
    assert next(events).epoch == 1
    first = store.objects[key]
    assert next(events).epoch == 2
    assert store.objects[key] != first
    events.close()  # its node died before the second checkpoint was uploaded
    store.objects[key] = first
    *reports, end = run_trial(dataclasses.replace(remote_task, attempt=2))
    assert [(report.attempt, report.epoch) for report in reports] == [(1, 1), (2, 2)]
    assert end.outcome is Outcome.COMPLETED


def test_uploads_are_not_training_time(remote_task, monkeypatch):
    seconds = []
    write = RemotePath.write_bytes

    def write_slowly(self, content):
        start = time.perf_counter()
        time.sleep(0.5)
        write(self, content)
        seconds.append(time.perf_counter() - start)

    monkeypatch.setattr(RemotePath, "write_bytes", write_slowly)
    events = run_trial(remote_task)
    next(events)
    uploading = sum(seconds)
    last = next(events)
    assert uploading >= 2 * 0.5
    measured = last.train_seconds + last.warmup_seconds + last.eval_seconds
    assert last.wall_seconds - measured >= uploading
    events.close()


def test_the_stop_flag_is_read_from_the_store(remote_task, store, monkeypatch):
    monkeypatch.setattr(checkpoints_module, "REMOTE_POLL_SECONDS", 0.01)
    is_set = stop_flag(remote_task.run_folder)
    assert not is_set()
    (store.path / STOP_FILE).write_bytes(b"")
    wait_for(is_set)
    store.unavailable = True
    time.sleep(0.05)
    assert is_set(), "the last known value"
    store.unavailable = False
    monkeypatch.setattr("tune_ode.worker.task.STOP_POLL_SECONDS", 0.0)
    (end,) = run_trial(remote_task)
    assert end.outcome is Outcome.INTERRUPTED
    assert f"{remote_task.folder.key}/{LAST_CHECKPOINT}" in store.objects
    (store.path / STOP_FILE).unlink()
    wait_for(lambda: not is_set())


def test_the_stop_flag_does_not_block_on_the_store(remote_task, monkeypatch):
    replied = threading.Event()
    monkeypatch.setattr(RemotePath, "exists", lambda self: replied.wait(60))
    assert not stop_flag(remote_task.run_folder)()
    replied.set()


def test_an_unavailable_store_interrupts_a_trial(remote_task, store, monkeypatch):
    monkeypatch.setattr(retry_module, "RETRY_SECONDS", 0.0)

    def training(*_, checkpoints, **__):
        (checkpoints / LAST_CHECKPOINT).write_bytes(b"trained")
        store.unavailable = True
        yield "a report"

    monkeypatch.setattr("tune_ode.training.training_loop", training)
    (end,) = run_trial(remote_task)
    assert end.outcome is Outcome.INTERRUPTED
    assert "refused" in end.reason


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
