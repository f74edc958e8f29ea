"""One writer, whole files, and nothing half-made left behind."""

import errno
import multiprocessing
import os

import pytest

from tests.factories import make_report
from tune_ode import records
from tune_ode.errors import RunFolderError, StorageFull
from tune_ode.records import RunManifest
from tune_ode.runs.folder import RunFolder

REPORT = make_report(val_accuracy=0.9)


def manifest():
    return RunManifest(
        name="run", state="running", options={}, space={}, base={}, chance=0.1,
        trial_seconds=1.0, created=0.0,
    )  # fmt: skip


def test_a_run_folder_is_made_whole_and_never_over_another(tmp_path):
    folder = RunFolder.create(tmp_path / "runs" / "run", manifest())
    assert folder.manifest == manifest()
    with pytest.raises(RunFolderError, match="tune-ode resume"):
        RunFolder.create(tmp_path / "runs" / "run", manifest())
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["run"]


def test_a_folder_that_cannot_be_written_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFolderError, match="No space left on device; choose another --output"):
        RunFolder.create(tmp_path / "a" / "b" / "run", manifest())
    assert list(tmp_path.iterdir()) == []


def test_a_path_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="Not a directory"):
        RunFolder.create(tmp_path / "file" / "run", manifest())


def test_a_folder_without_a_manifest_is_no_run(tmp_path):
    with pytest.raises(RunFolderError, match="no run folder"):
        RunFolder(tmp_path)


def _try_to_open(path, said):
    try:
        RunFolder(path)
    except RunFolderError as error:
        said.put(str(error))
    else:
        said.put("opened")


def test_a_second_process_is_refused_until_the_first_has_ended(tmp_path):
    folder = RunFolder.create(tmp_path / "run", manifest())
    context = multiprocessing.get_context("spawn")
    said = context.Queue()
    for expected in ("another process is writing", "opened"):
        process = context.Process(target=_try_to_open, args=(tmp_path / "run", said))
        process.start()
        assert expected in said.get(timeout=60)
        process.join()
        folder.close()


def test_trial_ids_count_up_across_reopening(tmp_path):
    folder = RunFolder.create(tmp_path / "run", manifest())
    assert folder.add_trial({}, {}, 0.0).trial_id == "0001"
    assert folder.add_trial({}, {}, 0.0).trial_id == "0002"
    folder.close()
    folder = RunFolder(tmp_path / "run")
    assert folder.add_trial({}, {"a": 1}, 0.0).trial_id == "0003"
    assert [setup.trial_id for setup in folder.specs()] == ["0001", "0002", "0003"]


def test_a_line_after_one_cut_off_by_a_crash_stands_on_its_own(tmp_path):
    folder = RunFolder.create(tmp_path / "run", manifest())
    folder.add_trial({}, {}, 0.0)
    path = folder.trial("0001") / records.REPORTS
    path.write_text('{"trial_id": "0001", "att')
    folder.append(REPORT)
    assert folder.reports("0001") == [REPORT]


def test_a_full_disk_keeps_what_is_written_and_says_how_to_go_on(tmp_path, monkeypatch):
    folder = RunFolder.create(tmp_path / "run", manifest())
    folder.add_trial({}, {}, 0.0)
    folder.append(REPORT)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(records, "dumps", full)
    with pytest.raises(StorageFull, match="free some space, then run: tune-ode resume"):
        folder.append(REPORT)
    with pytest.raises(StorageFull):
        folder.update(state="finished")
    monkeypatch.undo()
    assert folder.reports("0001") == [REPORT]
    assert records.read_json(folder.path / records.MANIFEST)["state"] == "running"
