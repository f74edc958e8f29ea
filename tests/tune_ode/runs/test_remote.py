"""A search in an object store can be killed before any write and resumed."""

import errno
import json
from pathlib import Path
from unittest.mock import Mock

import pytest

from analysis.load import load_run
from tests.factories import make_manifest
from tests.tune_ode.object_store import Killed
from tune_ode import records
from tune_ode.config import TrialConfig
from tune_ode.errors import RunFolderError, StorageUnavailable
from tune_ode.records import STOP_FILE
from tune_ode.runs import lease
from tune_ode.runs import retry as retry_module
from tune_ode.runs.lease import LEASE
from tune_ode.runs.open import check_writable, create_run, open_run
from tune_ode.tuning.search.limits import Budget
from tune_ode.tuning.search.search import Search
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.worker.spec import WorkerSpec

TRIALS = 5


@pytest.fixture(autouse=True)
def no_renewals(store, monkeypatch):
    monkeypatch.setattr(lease.Lease, "_renew_periodically", lambda self: None)


@pytest.fixture
def open_search(space, clock):
    """Return a function that starts a search at a URL, or resumes the one there."""

    def open_search(run):
        exists = (run / records.MANIFEST).exists()
        folder = open_run(run) if exists else create_run(run, make_manifest())
        search = Search(
            folder,
            StudyAdapter(space, journal=folder.study_path, sampler="random"),
            TrialConfig(),
            Budget(trials=TRIALS, seconds=None, trial_seconds=6.0, report_timeout=60.0),
            WorkerSpec(data_dir=None, device="cpu", threads=1),
            clock=clock,
        )
        return search, folder

    return open_search


@pytest.fixture
def complete_search(open_search, drive):
    def complete_search(run):
        search, folder = open_search(run)
        drive(search)
        search.close()
        folder.close()

    return complete_search


def searched_values(run):
    """Return the searched values of a finished run, after checking that nothing is repeated."""
    loaded = load_run(run)
    assert (loaded.trials["outcome"] != "running").all()
    trials = [json.dumps(params, sort_keys=True) for params in loaded.trials["params"]]
    assert len(set(trials)) == len(trials) == TRIALS, "no proposal is repeated"
    reports = loaded.reports[["trial_id", "epoch", "val_accuracy"]]
    assert not reports.duplicated(["trial_id", "epoch"]).any()
    return trials


def test_a_search_killed_before_any_write_is_resumed(object_store, store, complete_search):
    complete_search(store.path)
    expected = searched_values(store.path)
    assert store.writes > 25
    for fatal in range(1, store.writes, 3):
        killed = object_store()
        killed.killed_before_write = fatal
        with pytest.raises(Killed):
            complete_search(killed.path)
        after = object_store(killed.objects)
        after.objects.pop(f"{after.path.key}/{LEASE}", None)  # this process is still alive
        complete_search(after.path)
        assert searched_values(after.path) == expected


def test_each_file_is_uploaded_before_the_next_is_written(store, open_search, drive):
    search, folder = open_search(store.path)
    drive(search, events=9)
    for file in folder.path.rglob("*"):
        name = str(file.relative_to(folder.path))
        if file.is_file() and name not in {".lock", records.STUDY}:
            assert store.objects[f"{store.path.key}/{name}"] == file.read_bytes(), name
    assert records.STUDY not in store.path.objects()
    folder.close()


def test_a_report_costs_one_request(store, open_search, report):
    search, folder = open_search(store.path)
    task = search.next_task()
    search.on_report(report(task, 1, 0.5))  # the first one also brings the horizon
    before = len(store.requests)
    search.on_report(report(task, 2, 0.5))
    (request,) = store.requests[before:]
    assert request == ("write", f"{store.path.key}/trials/0001/reports.jsonl")
    folder.close()


def test_the_study_is_uploaded_at_the_end_and_deleted_at_the_next_start(store, open_search):
    _, folder = open_search(store.path)
    folder.close()
    assert records.STUDY in store.path.objects()
    assert LEASE not in store.path.objects()
    _, folder = open_search(store.path)
    assert folder.study_path.exists()
    assert records.STUDY not in store.path.objects()
    folder.close()


def test_files_that_a_search_does_not_read_are_not_downloaded(store, open_search):
    _, folder = open_search(store.path)
    folder.add_trial({}, {}, 0.0)
    folder.close()
    for name in ("report/index.html", "trials/0001/last.pt", "confirm/run.json", "trials/x/y"):
        store.objects[f"{store.path.key}/{name}"] = b"large"
    folder = open_run(store.path)
    downloaded = {str(file.relative_to(folder.path)) for file in folder.path.rglob("*.*")}
    assert downloaded == {".lock", "run.json", "study.log", "trials/0001/config.json"}
    folder.close()
    assert not folder.path.exists()


def test_a_full_scratch_directory_releases_the_lease(store, open_search, monkeypatch):
    _, folder = open_search(store.path)
    folder.close()
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(Path, "write_bytes", Mock(side_effect=full))
    with pytest.raises(RunFolderError, match="No space left on device; .* set TMPDIR"):
        open_run(store.path)
    assert LEASE not in store.path.objects()


def test_an_existing_run_is_not_replaced(store, open_search):
    _, folder = open_search(store.path)
    folder.close()
    with pytest.raises(RunFolderError, match="exists already.*tune-ode resume store://bucket/run"):
        create_run(store.path, make_manifest())
    with pytest.raises(RunFolderError, match="store://bucket/none is not a run directory"):
        open_run(store.path.parent / "none")
    assert not (store.path.parent / "none").is_dir()


def test_a_second_process_is_rejected_while_the_first_writes(store, open_search):
    _, folder = open_search(store.path)
    with pytest.raises(RunFolderError, match="another process is writing to store://bucket/run"):
        open_run(store.path)
    folder.close()
    open_run(store.path).close()


def test_a_brief_outage_of_the_store_is_retried(store, open_search, drive, monkeypatch):
    search, folder = open_search(store.path)
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        store.unavailable = len(pauses) < 3

    monkeypatch.setattr(retry_module.time, "sleep", pause)
    store.unavailable = True
    drive(search)
    assert len(pauses) == 3
    search.close()
    folder.close()
    searched_values(store.path)


def test_an_outage_ends_the_search_which_can_be_resumed(
    store, open_search, drive, complete_search, monkeypatch
):
    monkeypatch.setattr(retry_module, "RETRY_SECONDS", 0.0)
    search, folder = open_search(store.path)
    drive(search, events=5)
    store.unavailable = True
    search.stop("as Ctrl-C does")  # neither raises nor waits
    search.stop_reason = None
    with pytest.raises(
        StorageUnavailable, match="cannot write store://bucket/run/.*refused; .*resume"
    ):
        drive(search)
    requests = len(store.requests)
    with pytest.raises(StorageUnavailable):
        search.close()
    assert len(store.requests) == requests, "later writes fail without a retry"
    folder.close()
    store.unavailable = False
    store.objects.pop(f"{store.path.key}/{LEASE}")
    complete_search(store.path)
    searched_values(store.path)


def test_the_stop_flag_is_in_the_store_until_the_next_start(store, open_search):
    search, folder = open_search(store.path)
    search.stop("enough")
    assert STOP_FILE in store.path.objects()
    folder.close()  # killed before it cleared the flag
    search, folder = open_search(store.path)
    assert STOP_FILE not in store.path.objects()
    folder.close()


def test_check_writable_leaves_nothing_behind(store):
    check_writable(store.path)
    assert store.objects == {}
    store.unavailable = True
    with pytest.raises(RunFolderError, match="cannot write .*refused; check the URL"):
        check_writable(store.path)


def test_the_stack_of_a_hung_trial_is_read_from_the_store(store, open_search):
    search, folder = open_search(store.path)
    task = search.next_task()
    assert folder.hang_stack(task.trial_id) is None
    (store.path / "trials" / task.trial_id / records.STACK).write_bytes(b'File "layers.py"')
    search.on_worker_lost(task.trial_id)
    assert search.results[task.trial_id].traceback == 'File "layers.py"'
    folder.close()
