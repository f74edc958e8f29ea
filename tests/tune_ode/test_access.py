"""Files of a run are regular, bounded when read, and never written through a link."""

import errno
import json
import os
import socket
import subprocess
import sys
import tracemalloc

import pytest

from tests.factories import make_report
from tune_ode import records
from tune_ode.records import access


@pytest.fixture(params=["pipe", "device", "socket", "directory"])
def special(request, tmp_path):
    """A file that is not regular."""
    path = tmp_path / "special"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "device":
        path.symlink_to("/dev/zero")
    elif request.param == "directory":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.fspath(path))
    return path


def test_a_special_file_is_neither_read_nor_appended_to(special):
    for call in (lambda: records.read_file(special, 10), lambda: records.append(special, b"x\n")):
        with pytest.raises(OSError, match="not a regular|No such device|directory|symbolic"):
            call()


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_nothing_is_appended_through_a_link(tmp_path, link):
    outside = tmp_path / "outside"
    outside.write_bytes(b"kept\n")
    link(outside, tmp_path / "reports.jsonl")
    with pytest.raises(OSError, match=r"symbolic|hard link"):
        records.append(tmp_path / "reports.jsonl", b"line\n")
    assert outside.read_bytes() == b"kept\n"


@pytest.mark.parametrize("name", ["file", ".file.PID.tmp"])
def test_a_link_is_replaced_and_not_followed(tmp_path, name):
    outside = tmp_path / "outside"
    outside.write_bytes(b"kept")
    (tmp_path / name.replace("PID", str(os.getpid()))).symlink_to(outside)
    records.write_atomic(tmp_path / "file", "new")
    assert outside.read_bytes() == b"kept"
    assert (tmp_path / "file").read_text() == "new"
    assert not (tmp_path / "file").is_symlink()


def test_a_file_is_read_up_to_a_limit(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(OSError, match="larger than 1 MiB") as caught:
        records.read_file(path, 2**20)
    assert caught.value.errno != errno.EFBIG, "this is no full disk"


def test_the_directory_is_synchronized_after_the_file(tmp_path, monkeypatch):
    synchronized = []
    monkeypatch.setattr(
        "os.fsync", lambda fd: synchronized.append(os.readlink(f"/proc/self/fd/{fd}"))
    )
    records.write_atomic(tmp_path / "file", "new")
    temporary, directory = synchronized
    assert temporary.endswith(".tmp")
    assert directory == str(tmp_path)


def test_appending_does_not_read_the_file(tmp_path):
    path = tmp_path / "reports.jsonl"
    path.write_bytes(b"x" * 2**24)
    tracemalloc.start()
    records.append(path, b"line\n")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert path.read_bytes().endswith(b"x\nline\n"), "a truncated line is ended first"


def test_leftovers_of_dead_processes_are_removed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    dead, alive = (f".last.pt.{pid}.tmp" for pid in (process.pid, os.getpid()))
    for name in (dead, alive, "last.pt", ".hidden.tmp"):
        (tmp_path / name).touch()
    staging = tmp_path / f".run.{process.pid}.tmp"
    (staging / "trials").mkdir(parents=True)
    records.remove_leftovers(tmp_path, older_than=60)
    assert (tmp_path / dead).exists(), "another machine may be writing it"
    records.remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {alive, "last.pt", ".hidden.tmp"}


@pytest.mark.parametrize("pid", [0, -1, "x", 10**30, None])
def test_no_number_of_a_lease_or_file_is_a_group_of_processes(pid):
    assert not access.is_running(pid)


REPORT = records.dumps(make_report().to_json())


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 200_000, b'{"a":' * 200_000, REPORT.replace("0.5", "1" * 400).encode(),
        REPORT.replace("0.5", "NaN").encode(), REPORT.replace('"cpu"', "{}").encode(),
        REPORT.replace('"attempt": 1', '"attempt": true').encode(), b"\xff{}", b"[1]}",
        b'{"trial_id": "' + b"x" * 200_000 + b'"}', REPORT.replace("0.5", '"0.5"').encode(),
    ],
)  # fmt: skip
def test_an_invalid_line_is_passed_over(tmp_path, line):
    path = tmp_path / records.REPORTS
    path.write_bytes(b"\n".join([REPORT.encode(), line, REPORT.encode(), b""]))
    passed_over = []
    assert len(records.read_reports(path, passed_over)) == 2
    assert passed_over == [] or passed_over[0].startswith("1 line, the first since ")
    assert len(passed_over) == line.endswith(b"}") or len(line) > 2**16


def test_a_file_of_invalid_lines_is_not_read_to_its_end(tmp_path):
    path = tmp_path / records.REPORTS
    path.write_bytes(b"{}\n" * 10**6)
    passed_over = []
    assert records.read_reports(path, passed_over) == []
    assert "lines, the first since trial_id: Field required" in passed_over[0]


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, '{"a":' * 900 + "1" + "}" * 900, '{"a": 1' + "0" * 400 + "}",
     '{"a": NaN}', '{"a": 1e999}', "[1]", "", '{"a": "\\'],
)  # fmt: skip
def test_json_that_later_steps_could_not_handle_is_refused(tmp_path, text):
    (tmp_path / "file").write_text(text)
    with pytest.raises(records.InvalidRecord) as caught:
        records.read_json(tmp_path / "file")
    assert "\n" not in str(caught.value)


def test_control_characters_are_removed_on_loading(tmp_path):
    found = {"reason": "\x1b[31mred\x9b\u202eleft\nnext", "\x07name": ["\udcc2\udc9b31m"]}
    found["traceback"] = "line 1\n\tline 2\x1b[2J"
    (tmp_path / "file").write_text(json.dumps(found))
    assert records.read_json(tmp_path / "file") == {
        "reason": "[31mredleft next", "name": ["\udcc2\ufffd31m"],
        "traceback": "line 1\n\tline 2[2J",
    }  # fmt: skip
