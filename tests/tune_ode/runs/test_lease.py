"""One driver at a time writes to a run in an object store, and a dead one keeps nobody out."""

import json
import subprocess
import sys
import time

import pytest

from tune_ode.errors import RunFolderError, StorageUnavailable
from tune_ode.runs import lease
from tune_ode.runs.lease import LEASE, RENEW_SECONDS, STALE_SECONDS, Lease


@pytest.fixture
def store(object_store, monkeypatch):
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.0)
    return object_store()


@pytest.fixture
def key(store):
    return f"{store.path.key}/{LEASE}"


@pytest.fixture
def held(store, key):
    """Return a function that has the store hold another driver's lease."""

    def held(**changes):
        store.objects.pop(key, None)
        lease = Lease(store.path)
        named = json.loads(store.objects[key])
        lease.release()
        named |= {"id": "another's", **changes}
        store.objects[key] = json.dumps(named).encode()

    return held


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_it_is_held_until_it_is_released(store, key):
    first = Lease(store.path)
    with pytest.raises(RunFolderError, match="another process is writing to store://bucket/run"):
        Lease(store.path)
    first.check()
    first.release()
    assert key not in store.objects
    Lease(store.path).release()


def test_of_a_dead_process_here_it_is_taken_over_at_once(store, held):
    held(pid=dead_process())
    Lease(store.path).release()


@pytest.mark.parametrize("where", [{"host": "elsewhere"}, {"processes": "of another container"}])
def test_of_a_process_elsewhere_it_is_respected_while_it_is_fresh(store, held, where):
    pid = dead_process()
    held(pid=pid, **where)
    with pytest.raises(RunFolderError, match=f"process {pid} on .*forgotten after 60 s"):
        Lease(store.path)
    held(pid=pid, time=time.time() - STALE_SECONDS - 1, **where)
    Lease(store.path).release()


def test_one_that_cannot_be_read_is_nobodys(store, key):
    for damaged in (b"", b"[]", b'{"id": 1, "time": "never"}'):
        store.objects[key] = damaged
        Lease(store.path).release()


def test_of_two_that_start_at_once_one_gives_way(store, key, monkeypatch):
    def overtake(seconds):
        named = json.loads(store.objects[key]) | {"id": "another's"}
        store.objects[key] = json.dumps(named).encode()

    monkeypatch.setattr(lease.time, "sleep", overtake)
    with pytest.raises(RunFolderError, match="another process is writing"):
        Lease(store.path)
    assert json.loads(store.objects[key])["id"] == "another's", "it keeps what it has"


def test_it_is_renewed(store, key, monkeypatch):
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.01)
    mine = Lease(store.path)
    before = json.loads(store.objects[key])["time"]
    store.unavailable = True
    time.sleep(0.05)
    store.unavailable = False
    until = time.monotonic() + 60
    while json.loads(store.objects[key])["time"] == before:
        assert time.monotonic() < until
        time.sleep(0.01)
    mine.release()


def test_who_slept_and_was_taken_over_writes_no_more(store, held, key, monkeypatch):
    sleeper = Lease(store.path)
    monkeypatch.setattr(sleeper, "_renewed", time.time() - STALE_SECONDS)
    held()
    with pytest.raises(
        StorageUnavailable, match="another process has taken over store://bucket/run"
    ):
        sleeper.check()
    sleeper.release()
    assert json.loads(store.objects[key])["id"] == "another's"


def test_a_check_of_a_fresh_one_asks_nobody(store):
    mine = Lease(store.path)
    store.requests.clear()
    mine.check()
    assert store.requests == []
    mine._renewed -= STALE_SECONDS - RENEW_SECONDS
    mine.check()
    assert [what for what, _ in store.requests] == ["read", "write"]
    mine.release()
