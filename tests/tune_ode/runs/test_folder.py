"""A run directory has one writer; files are replaced completely or not at all."""

import errno
import multiprocessing
import os
from unittest.mock import Mock

import pytest

from tests.factories import make_manifest, make_report
from tune_ode import records
from tune_ode.errors import DISK_FULL, RunFolderError, StorageFull
from tune_ode.runs.folder import RunFolder

REPORT = make_report()


def test_create_never_replaces_a_run_and_leaves_no_temporary_files(tmp_path):
    folder = RunFolder.create(tmp_path / "runs" / "run", make_manifest())
    assert folder.manifest == make_manifest()
    with pytest.raises(RunFolderError, match="tune-ode resume"):
        RunFolder.create(tmp_path / "runs" / "run", make_manifest())
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["run"]


def test_a_failed_create_leaves_nothing_behind(tmp_path, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(os, "fsync", Mock(side_effect=full))
    with pytest.raises(RunFolderError, match="No space left on device; choose another --output"):
        RunFolder.create(tmp_path / "a" / "b" / "run", make_manifest())
    assert list(tmp_path.iterdir()) == []


def test_a_path_below_a_file_is_rejected(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="Not a directory"):
        RunFolder.create(tmp_path / "file" / "run", make_manifest())


def test_a_directory_without_a_manifest_is_not_a_run(tmp_path):
    with pytest.raises(RunFolderError, match="not a run directory"):
        RunFolder(tmp_path)


def _try_to_open(path, results):
    try:
        RunFolder(path)
        results.put("opened")
    except RunFolderError as error:
        results.put(str(error))


def test_a_second_process_is_rejected_until_the_first_closes_the_run(tmp_path):
    folder = RunFolder.create(tmp_path / "run", make_manifest())
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    for expected in ("another process is writing", "opened"):
        process = context.Process(target=_try_to_open, args=(tmp_path / "run", results))
        process.start()
        assert expected in results.get(timeout=60)
        process.join()
        folder.close()


def test_trial_ids_count_up_across_reopening(tmp_path):
    folder = RunFolder.create(tmp_path / "run", make_manifest())
    assert folder.add_trial({}, {}, 0.0).trial_id == "0001"
    assert folder.add_trial({}, {}, 0.0).trial_id == "0002"
    folder.close()
    folder = RunFolder(tmp_path / "run")
    assert folder.add_trial({}, {"a": 1}, 0.0).trial_id == "0003"
    assert [spec.trial_id for spec in folder.specs()] == ["0001", "0002", "0003"]


def test_a_report_after_a_truncated_line_is_readable(tmp_path):
    folder = RunFolder.create(tmp_path / "run", make_manifest())
    folder.add_trial({}, {}, 0.0)
    path = folder.trial("0001") / records.REPORTS
    path.write_text('{"trial_id": "0001", "att')
    folder.append(REPORT)
    assert folder.reports("0001") == [REPORT]


@pytest.mark.parametrize("code", sorted(DISK_FULL))
def test_a_full_disk_keeps_finished_work_and_names_the_resume_command(tmp_path, monkeypatch, code):
    folder = RunFolder.create(tmp_path / "run", make_manifest())
    folder.add_trial({}, {}, 0.0)
    folder.append(REPORT)
    monkeypatch.setattr(records, "dumps", Mock(side_effect=OSError(code, os.strerror(code))))
    remedy = f"{os.strerror(code)}; .* free some space, then run: tune-ode resume"
    with pytest.raises(StorageFull, match=remedy):
        folder.append(REPORT)
    with pytest.raises(StorageFull, match=remedy):
        folder.update(state="finished")
    monkeypatch.undo()
    assert folder.reports("0001") == [REPORT]
    assert records.read_json(folder.path / records.MANIFEST)["state"] == "running"
