"""A run changes nothing outside of its directory, whatever its files say."""

import json
import os

import pytest

from tests.factories import make_manifest, make_report, make_result
from tune_ode import records
from tune_ode.errors import RunFolderError
from tune_ode.records import CONFIG, TRIALS
from tune_ode.runs.folder import RunFolder
from tune_ode.tuning.study.storage import open_journal


@pytest.fixture
def run(tmp_path):
    """A run with one trial."""
    folder = RunFolder.create(tmp_path / "run", make_manifest())
    folder.add_trial({"seed": 1}, {}, 0.0)
    folder.close()
    return folder.path


@pytest.fixture
def outside(tmp_path):
    """A file and a directory outside of the run, which must not change."""
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "file").write_text("kept")
    yield directory
    assert [path.name for path in directory.iterdir()] == ["file"]
    assert (directory / "file").read_text() == "kept"


@pytest.mark.parametrize(
    "name",
    ["run.json", "study.log", "stop", ".lock", "trials", "trials/0001", "trials/0002",
     "trials/.new", "trials/0001/reports.jsonl", "trials/0001/outcome.json",
     "trials/0001/stack.txt", "trials/0001/last.pt", "trials/0001/best.pt"],
)  # fmt: skip
@pytest.mark.parametrize("special", [os.symlink, lambda target, path: os.mkfifo(path)])
def test_a_link_or_special_file_is_refused_before_anything_is_written(run, outside, name, special):
    path = run / name
    if path.exists():
        path.rename(path.with_name("moved"))
    special(outside if name.startswith("trials") else outside / "file", path)
    with pytest.raises(RunFolderError, match=r"link|special|not a regular") as caught:
        RunFolder(run)
    assert "\n" not in str(caught.value)


def test_a_confirmation_that_is_a_link_is_refused(run, tmp_path):
    elsewhere = RunFolder.create(tmp_path / "elsewhere", make_manifest())
    elsewhere.close()
    (run / "confirm").symlink_to(elsewhere.path)
    with pytest.raises(RunFolderError, match="confirm is a link"):
        RunFolder(run / "confirm")


def test_a_run_may_be_named_by_a_link(run, tmp_path):
    (tmp_path / "link").symlink_to(run)
    RunFolder(tmp_path / "link").close()


def test_the_name_of_its_directory_is_the_id_of_a_trial(run, outside):
    for name, record in (
        ("config.json", json.loads((run / TRIALS / "0001" / CONFIG).read_text())),
        ("outcome.json", make_result().to_json()),
    ):
        record["trial_id"] = "../../../outside"
        (run / TRIALS / "0001" / name).write_text(json.dumps(record))
    report = make_report("../../../outside").to_json()
    (run / TRIALS / "0001" / "reports.jsonl").write_text(json.dumps(report) + "\n")
    folder = RunFolder(run)
    assert [spec.trial_id for spec in folder.specs()] == ["0001"]
    assert [report.trial_id for report in folder.reports("0001")] == ["0001"]
    assert folder.result("0001").trial_id == "0001"
    folder.close()


@pytest.mark.parametrize("name", ["²", "١٢٣٤", "..0001", "0001x", "1", "9" * 200])
def test_a_directory_with_another_name_is_not_a_trial(run, name):
    (run / TRIALS / name).mkdir()
    folder = RunFolder(run)
    assert [spec.trial_id for spec in folder.specs()] == ["0001"]
    assert folder.add_trial({}, {}, 0.0).trial_id == "0002"
    folder.close()


@pytest.mark.parametrize("content", ["[1]", "{}", '{"outcome": "won"}', "[" * 200_000])
@pytest.mark.parametrize("name", ["config.json", "outcome.json"])
def test_a_damaged_trial_is_named_when_its_run_is_resumed(run, name, content):
    (run / TRIALS / "0001" / name).write_text(content)
    folder = RunFolder(run)
    with pytest.raises(RunFolderError, match=f"0001/{name}") as caught:
        folder.specs() and folder.result("0001")
    assert "\n" not in str(caught.value)
    folder.close()


def test_leftovers_of_a_killed_driver_are_removed_by_the_next(run):
    leftover = run / TRIALS / "0001" / ".last.pt.999999999.tmp"
    leftover.touch()
    RunFolder(run).close()
    assert not leftover.exists()


@pytest.mark.parametrize("content", [b"[" * 200_000, b'{"op_code": 0}', b"\xff", b"1", b"[]"])
def test_a_damaged_journal_is_set_aside(tmp_path, content):
    journal = tmp_path / records.STUDY
    journal.write_bytes(content + b"\n")
    open_journal(journal)
    assert (tmp_path / f"{records.STUDY}.damaged").read_bytes() == content + b"\n"
