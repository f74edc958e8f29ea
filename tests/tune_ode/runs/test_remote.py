"""A run in an object store: killed before any of its writes, it goes on as if nothing had been."""

import errno
import json
from pathlib import Path

import pytest

from analysis.load import load_run
from tests.tune_ode.object_store import Killed
from tune_ode import records
from tune_ode.config import TrialConfig
from tune_ode.errors import RunFolderError, StorageUnavailable
from tune_ode.records import STOP_FILE, RunManifest
from tune_ode.runs import lease
from tune_ode.runs import retry as patience
from tune_ode.runs.lease import LEASE
from tune_ode.runs.open import check_writable, create_run, open_run
from tune_ode.tuning.search.limits import Budget
from tune_ode.tuning.search.search import Search
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.worker.spec import WorkerSpec

TRIALS = 5


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(lease.Lease, "_keep", lambda self: None)


def manifest():
    return RunManifest(
        name="run", state="running", options={}, space={}, base={}, chance=0.1,
        trial_seconds=6.0, created=0.0,
    )  # fmt: skip


@pytest.fixture
def take_up(space, clock):
    """Return a function that starts a search at a place, or goes on with the one that is there."""

    def take_up(run):
        there = (run / records.MANIFEST).exists()
        folder = open_run(run) if there else create_run(run, manifest())
        search = Search(
            folder,
            StudyAdapter(space, journal=folder.study_path, sampler="random"),
            TrialConfig(),
            Budget(trials=TRIALS, seconds=None, trial_seconds=6.0, report_timeout=60.0),
            WorkerSpec(data_dir=None, device="cpu", threads=1),
            clock=clock,
        )
        return search, folder

    return take_up


@pytest.fixture
def search_to_the_end(take_up, drive):
    def search_to_the_end(run):
        search, folder = take_up(run)
        drive(search)
        search.close()
        folder.close()

    return search_to_the_end


def found(run):
    """What a run came to, whatever happened on the way."""
    loaded = load_run(run)
    assert (loaded.trials["outcome"] != "running").all()
    trials = [json.dumps(params, sort_keys=True) for params in loaded.trials["params"]]
    assert len(set(trials)) == len(trials) == TRIALS, "no proposal is repeated"
    lines = loaded.lines[["trial_id", "epoch", "val_accuracy"]]
    assert not lines.duplicated(["trial_id", "epoch"]).any()
    return trials


def test_a_driver_killed_before_any_write_goes_on(object_store, search_to_the_end):
    whole = object_store()
    search_to_the_end(whole.path)
    expected = found(whole.path)
    writes = whole.writes
    assert writes > 25
    for fatal in range(1, writes, 3):
        killed = object_store()
        killed.killed_before_write = fatal
        with pytest.raises(Killed):
            search_to_the_end(killed.path)
        after = object_store(killed.objects)
        after.objects.pop(f"{after.path.key}/{LEASE}", None)  # its process is this one, and lives
        search_to_the_end(after.path)
        assert found(after.path) == expected


def test_the_store_holds_every_write_before_the_next_begins(object_store, take_up, drive):
    store = object_store()
    search, folder = take_up(store.path)
    drive(search, events=9)
    for file in folder.path.rglob("*"):
        name = str(file.relative_to(folder.path))
        if file.is_file() and name not in {".lock", records.STUDY}:
            assert store.objects[f"{store.path.key}/{name}"] == file.read_bytes(), name
    assert records.STUDY not in store.path.objects()
    folder.close()


def test_a_report_costs_one_request(object_store, take_up, report):
    store = object_store()
    search, folder = take_up(store.path)
    task = search.next_task()
    before = len(store.requests)
    search.on_report(report(task, 1, 0.5))
    (request,) = store.requests[before:]
    assert request == ("write", f"{store.path.key}/trials/0001/reports.jsonl")
    folder.close()


def test_the_study_is_kept_at_an_orderly_end_and_never_left_to_grow_old(object_store, take_up):
    store = object_store()
    _, folder = take_up(store.path)
    folder.close()
    assert records.STUDY in store.path.objects()
    assert LEASE not in store.path.objects()
    _, folder = take_up(store.path)
    assert folder.study_path.exists()
    assert records.STUDY not in store.path.objects()
    folder.close()


def test_what_a_search_does_not_read_is_not_copied(object_store, take_up):
    store = object_store()
    _, folder = take_up(store.path)
    folder.add_trial({}, {}, 0.0)
    folder.close()
    for name in ("report/index.html", "trials/0001/last.pt", "confirm/run.json", "trials/x/y"):
        store.objects[f"{store.path.key}/{name}"] = b"large"
    folder = open_run(store.path)
    copied = {str(file.relative_to(folder.path)) for file in folder.path.rglob("*.*")}
    assert copied == {".lock", "run.json", "study.log", "trials/0001/config.json"}
    folder.close()
    assert not folder.path.exists()


def test_a_full_scratch_folder_keeps_the_run_free(object_store, take_up, monkeypatch):
    store = object_store()
    _, folder = take_up(store.path)
    folder.close()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunFolderError, match="No space left on device; .* set TMPDIR"):
        open_run(store.path)
    assert LEASE not in store.path.objects()


def test_a_place_that_is_taken_is_left_alone(object_store, take_up):
    store = object_store()
    _, folder = take_up(store.path)
    folder.close()
    with pytest.raises(RunFolderError, match="exists already.*tune-ode resume store://bucket/run"):
        create_run(store.path, manifest())
    with pytest.raises(RunFolderError, match="store://bucket/none is no run folder"):
        open_run(store.path.parent / "none")
    assert not (store.path.parent / "none").is_dir()


def test_a_second_driver_is_refused_while_the_first_writes(object_store, take_up):
    store = object_store()
    _, folder = take_up(store.path)
    with pytest.raises(RunFolderError, match="another process is writing to store://bucket/run"):
        open_run(store.path)
    folder.close()
    open_run(store.path).close()


def test_a_bad_minute_of_the_store_ends_nothing(object_store, take_up, drive, monkeypatch):
    store = object_store()
    search, folder = take_up(store.path)
    rests = []

    def rest(seconds):
        rests.append(seconds)
        store.unavailable = len(rests) < 3

    monkeypatch.setattr(patience.time, "sleep", rest)
    store.unavailable = True
    drive(search)
    assert len(rests) == 3
    search.close()
    folder.close()
    found(store.path)


def test_a_store_that_stays_away_ends_the_search_and_not_the_run(
    object_store, take_up, drive, search_to_the_end, monkeypatch
):
    monkeypatch.setattr(patience, "RETRY_SECONDS", 0.0)
    store = object_store()
    search, folder = take_up(store.path)
    drive(search, events=5)
    store.unavailable = True
    search.stop("as Ctrl-C does")  # says nothing, and does not wait
    search.stop_reason = None
    with pytest.raises(
        StorageUnavailable, match="cannot write store://bucket/run/.*refused; .*resume"
    ):
        drive(search)
    asked = len(store.requests)
    with pytest.raises(StorageUnavailable):
        search.close()
    assert len(store.requests) == asked, "it is not waited for again at each of the last writes"
    folder.close()
    store.unavailable = False
    store.objects.pop(f"{store.path.key}/{LEASE}")
    search_to_the_end(store.path)
    found(store.path)


def test_the_sign_to_stop_stands_in_the_store_until_the_search_has_ended(object_store, take_up):
    store = object_store()
    search, folder = take_up(store.path)
    search.stop("enough")
    assert STOP_FILE in store.path.objects()
    folder.close()  # killed before it took it away
    search, folder = take_up(store.path)
    assert STOP_FILE not in store.path.objects()
    folder.close()


def test_a_place_is_tried_and_left_as_it_was(object_store):
    store = object_store()
    check_writable(store.path)
    assert store.objects == {}
    store.unavailable = True
    with pytest.raises(RunFolderError, match="cannot write .*refused; check the URL"):
        check_writable(store.path)


def test_a_stuck_trials_stack_is_found_in_the_store(object_store, take_up):
    store = object_store()
    search, folder = take_up(store.path)
    task = search.next_task()
    assert folder.hang_stack(task.trial_id) is None
    (store.path / "trials" / task.trial_id / records.STACK).write_bytes(b'File "layers.py"')
    search.on_worker_lost(task.trial_id)
    assert search.results[task.trial_id].traceback == 'File "layers.py"'
    folder.close()
