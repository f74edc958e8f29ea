"""A trial's process and its run in an object store: checkpoints get there first, off the clock."""

import dataclasses
import threading
import time

import pytest
import torch

from tune_ode.records import BEST_CHECKPOINT, LAST_CHECKPOINT, STOP_FILE, Outcome
from tune_ode.remote_path import RemotePath
from tune_ode.runs import checkpoints as trial_store
from tune_ode.runs import retry as patience
from tune_ode.runs.checkpoints import checkpoints, stop_flag
from tune_ode.worker.task import run_trial


@pytest.fixture
def trial(object_store):
    store = object_store()
    return store, store.path / "trials" / "0001"


@pytest.fixture
def remote(task, object_store, monkeypatch):
    """The same task in a run at a URL, and the store that the URL leads to."""
    store = object_store()
    monkeypatch.setattr(trial_store, "run_path", lambda address: store.path)
    trial_store.run_place.cache_clear()
    trial_store.stop_flag.cache_clear()
    # one thread: two that share a busy core wait for each other
    yield dataclasses.replace(task, run_folder=store.path.url, threads=1), store
    torch.set_num_threads(task.threads)
    trial_store.run_place.cache_clear()
    trial_store.stop_flag.cache_clear()


def test_in_a_folder_it_is_the_folder(tmp_path):
    with checkpoints(tmp_path) as (folder, put):
        assert folder == tmp_path
        put()
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_is_put_best_first_and_once(trial):
    store, there = trial
    with checkpoints(there) as (folder, put):
        put()
        assert store.writes == 0
        (folder / LAST_CHECKPOINT).write_bytes(b"1")
        (folder / BEST_CHECKPOINT).write_bytes(b"1")
        put()
        put()
        (folder / LAST_CHECKPOINT).unlink()
        (folder / LAST_CHECKPOINT).write_bytes(b"2")
        put()
    written = [key.rpartition("/")[2] for what, key in store.requests if what == "write"]
    assert written == [BEST_CHECKPOINT, LAST_CHECKPOINT, LAST_CHECKPOINT]
    assert (there / LAST_CHECKPOINT).read_bytes() == b"2"
    assert not folder.exists()


def test_another_node_starts_from_what_is_there(trial):
    store, there = trial
    (there / LAST_CHECKPOINT).write_bytes(b"here")
    store.writes = 0
    with checkpoints(there) as (folder, put):
        assert (folder / LAST_CHECKPOINT).read_bytes() == b"here"
        put()
    assert store.writes == 0, "it has not changed"


def test_a_trial_is_in_the_store_before_it_says_so_and_goes_on_from_there(remote):
    task, store = remote
    key = f"{task.folder.key}/{LAST_CHECKPOINT}"
    messages = run_trial(task)
    assert next(messages).epoch == 1
    first = store.objects[key]
    assert next(messages).epoch == 2
    assert store.objects[key] != first
    messages.close()  # its node died; of its second checkpoint nothing was heard
    store.objects[key] = first
    *lines, ending = run_trial(dataclasses.replace(task, attempt=2))
    assert [(line.attempt, line.epoch) for line in lines] == [(1, 1), (2, 2)]
    assert ending.outcome is Outcome.COMPLETED


def test_time_spent_on_the_store_is_not_training_time(remote, monkeypatch):
    task, _ = remote
    spent = []
    write = RemotePath.write_bytes

    def write_slowly(self, content):
        began = time.perf_counter()
        time.sleep(0.5)
        write(self, content)
        spent.append(time.perf_counter() - began)

    monkeypatch.setattr(RemotePath, "write_bytes", write_slowly)
    messages = run_trial(task)
    next(messages)
    before = sum(spent)
    last = next(messages)
    assert before >= 2 * 0.5
    told = last.train_seconds + last.warmup_seconds + last.eval_seconds
    assert last.wall_seconds - told >= before
    messages.close()


def test_the_sign_to_stop_is_seen_in_the_store(remote, monkeypatch):
    task, store = remote
    monkeypatch.setattr(trial_store, "REMOTE_POLL_SECONDS", 0.01)
    asked = stop_flag(task.run_folder)
    assert not asked()
    (store.path / STOP_FILE).write_bytes(b"")
    wait_for(asked)
    store.unavailable = True
    time.sleep(0.05)
    assert asked(), "what was true a moment ago still is"
    store.unavailable = False
    monkeypatch.setattr("tune_ode.worker.task.STOP_POLL_SECONDS", 0.0)
    (ending,) = run_trial(task)
    assert ending.outcome is Outcome.INTERRUPTED
    assert f"{task.folder.key}/{LAST_CHECKPOINT}" in store.objects, "nothing is lost"
    (store.path / STOP_FILE).unlink()
    wait_for(lambda: not asked())


def test_asking_for_it_never_waits_for_the_store(remote, monkeypatch):
    task, _ = remote
    answered = threading.Event()
    monkeypatch.setattr(RemotePath, "exists", lambda self: answered.wait(60))
    assert not stop_flag(task.run_folder)()
    answered.set()


def test_a_store_that_does_not_answer_interrupts_a_trial(remote, monkeypatch):
    task, store = remote
    monkeypatch.setattr(patience, "RETRY_SECONDS", 0.0)

    def training(*_, checkpoints, **__):
        (checkpoints / LAST_CHECKPOINT).write_bytes(b"trained")
        store.unavailable = True
        yield "a report that relies on it"

    monkeypatch.setattr("tune_ode.training.training_loop", training)
    (ending,) = run_trial(task)
    assert ending.outcome is Outcome.INTERRUPTED
    assert "refused" in ending.reason


def wait_for(what):
    until = time.monotonic() + 60
    while not what():
        assert time.monotonic() < until
        time.sleep(0.01)
