"""A lease gives one process at a time the right to write to a run in an object store."""

import json
import subprocess
import sys
import time

import pytest

from tune_ode.errors import RunFolderError, StorageUnavailable
from tune_ode.runs import lease
from tune_ode.runs.lease import LEASE, RENEW_SECONDS, STALE_SECONDS, Lease


@pytest.fixture
def key(store):
    return f"{store.path.key}/{LEASE}"


@pytest.fixture
def held(store, key):
    """Return a function that puts the lease of another process into the store."""

    def held(**changes):
        store.objects.pop(key, None)
        lease = Lease(store.path)
        content = json.loads(store.objects[key])
        lease.release()
        content |= {"id": "another", **changes}
        store.objects[key] = json.dumps(content).encode()

    return held


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_lease_is_exclusive_until_it_is_released(store, key):
    first = Lease(store.path)
    with pytest.raises(RunFolderError, match="another process is writing to store://bucket/run"):
        Lease(store.path)
    first.check()
    first.release()
    assert key not in store.objects
    Lease(store.path).release()


def test_the_lease_of_a_dead_process_on_this_host_is_free(store, held):
    held(pid=dead_process())
    Lease(store.path).release()


@pytest.mark.parametrize("where", [{"host": "elsewhere"}, {"processes": "another container"}])
def test_the_lease_of_a_process_elsewhere_is_respected_until_it_expires(store, held, where):
    pid = dead_process()
    held(pid=pid, **where)
    with pytest.raises(RunFolderError, match=f"process {pid} on .*expires after 60 s"):
        Lease(store.path)
    held(pid=pid, time=time.time() - STALE_SECONDS - 1, **where)
    Lease(store.path).release()


def test_an_unreadable_lease_is_free(store, key):
    for damaged in (b"", b"[]", b'{"id": 1, "time": "never"}'):
        store.objects[key] = damaged
        Lease(store.path).release()


def test_one_of_two_processes_that_start_at_once_is_rejected(store, key, monkeypatch):
    def overtake(seconds):
        content = json.loads(store.objects[key]) | {"id": "another"}
        store.objects[key] = json.dumps(content).encode()

    monkeypatch.setattr(lease.time, "sleep", overtake)
    with pytest.raises(RunFolderError, match="another process is writing"):
        Lease(store.path)
    assert json.loads(store.objects[key])["id"] == "another"


def test_a_lease_is_renewed_after_an_outage(store, key, monkeypatch):
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.01)
    held_lease = Lease(store.path)
    before = json.loads(store.objects[key])["time"]
    store.unavailable = True
    time.sleep(0.05)
    store.unavailable = False
    until = time.monotonic() + 60
    while json.loads(store.objects[key])["time"] == before:
        assert time.monotonic() < until
        time.sleep(0.01)
    held_lease.release()


def test_a_suspended_process_that_lost_its_lease_is_rejected(store, held, key, monkeypatch):
    suspended = Lease(store.path)
    monkeypatch.setattr(suspended, "_renewed", time.time() - STALE_SECONDS)
    held()
    with pytest.raises(StorageUnavailable, match="process has taken over store://bucket/run"):
        suspended.check()
    suspended.release()
    assert json.loads(store.objects[key])["id"] == "another"


def test_checking_a_fresh_lease_makes_no_request(store):
    held_lease = Lease(store.path)
    store.requests.clear()
    held_lease.check()
    assert store.requests == []
    held_lease._renewed -= STALE_SECONDS - RENEW_SECONDS
    held_lease.check()
    assert [what for what, _ in store.requests] == ["read", "write"]
    held_lease.release()


@pytest.mark.parametrize("seconds", [2 * STALE_SECONDS, 3e9])
def test_a_lease_dated_in_the_future_expires(store, held, seconds):
    held(host="elsewhere", time=time.time() + seconds)
    Lease(store.path).release()


@pytest.mark.parametrize("change", [{"time": "now"}, {"time": 1e300}, {"pid": [1]}, {"id": None}])
def test_a_lease_that_no_process_wrote_is_free(store, held, change):
    held(host="elsewhere", **change)
    Lease(store.path).release()
