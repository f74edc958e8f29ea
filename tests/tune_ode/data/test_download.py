"""Downloads: once, never partial, with one-line errors."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.tune_ode.data.conftest import quiet, release
from tune_ode.config import DataConfig
from tune_ode.data import load
from tune_ode.data.images import Progress
from tune_ode.data.sources import download, tiny_imagenet
from tune_ode.data.sources.download import Archive, provide
from tune_ode.errors import DataError

CONTENT = bytes(range(256)) * 5_000
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def provide_file(tmp_path, web) -> Callable[[Progress], None]:
    """Return a function that provides `set/file.bin`, which the web server has."""
    web.files["file.bin"] = CONTENT
    archive = Archive("set/file.bin", MD5, (f"{web.address}/file.bin",))
    return partial(provide, "invented", ["set/file.bin"], [archive], tmp_path)


def closed_port() -> str:
    """Return an address that refuses connections, like a missing network."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


PROVIDE = """
import sys
from pathlib import Path
from tune_ode.data.sources.download import Archive, provide

def progress(operation, fraction):
    print(operation, flush=True)

data_dir, address, md5 = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
found = Archive("set/file.bin", md5, (address + "/file.bin",))
provide("invented", ["set/file.bin"], [found], Path(data_dir), progress)
print("done", flush=True)
"""


def test_progress_increases_to_one(tmp_path, provide_file):
    fractions = []
    provide_file(lambda operation, fraction: fractions.append(fraction))
    assert (tmp_path / "set" / "file.bin").read_bytes() == CONTENT
    assert fractions == sorted(fractions)
    assert len(set(fractions)) > 2
    assert fractions[-1] == 1.0


def test_other_mirrors_are_tried(tmp_path, web):
    web.files["file.bin"] = CONTENT
    urls = (f"{closed_port()}/file.bin", f"{web.address}/absent", f"{web.address}/file.bin")
    provide("invented", ["file.bin"], [Archive("file.bin", MD5, urls)], tmp_path, quiet)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_other_files_are_kept(tmp_path, provide_file):
    """An incomplete directory is completed, not replaced."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "notes").write_text("mine")
    provide_file(quiet)
    assert (tmp_path / "set" / "notes").read_text() == "mine"
    assert (tmp_path / "set" / "file.bin").read_bytes() == CONTENT


def test_a_lost_connection_leaves_no_files(tmp_path, web, provide_file):
    web.truncate = True
    with pytest.raises(DataError, match=r"was lost after 640000 of 1280000 bytes"):
        provide_file(quiet)
    assert [path.name for path in tmp_path.iterdir()] == [".invented.lock"]


def test_a_killed_download_leaves_no_valid_files(tmp_path, web, python, provide_file):
    web.stall = threading.Event()
    process = python(PROVIDE, tmp_path, web.address, MD5)
    release(process)
    assert process.stdout.readline() == "downloading file.bin\n"
    process.kill()
    process.wait()
    assert len(list(tmp_path.glob("*.partial"))) == 1
    assert not (tmp_path / "set").exists()

    web.stall.set()
    provide_file(quiet)
    assert (tmp_path / "set" / "file.bin").read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == [".invented.lock", "set"]


def test_concurrent_processes_download_once(tmp_path, web, python):
    web.files["file.bin"] = CONTENT
    web.stall = threading.Event()
    processes = [python(PROVIDE, tmp_path, web.address, MD5) for _ in range(2)]
    release(*processes)
    messages = {process.stdout.readline() for process in processes}
    assert messages == {
        "downloading file.bin\n",
        "waiting for another process that downloads invented\n",
    }
    web.stall.set()
    for process in processes:
        assert process.stdout.read().endswith("done\n")
    assert web.requests == ["/file.bin"]


def test_a_missing_network_is_reported_immediately_in_one_line(tmp_path, monkeypatch):
    address = closed_port()
    missing = Archive("tiny-imagenet-200.zip", MD5, (f"{address}/tiny-imagenet-200.zip",))
    monkeypatch.setattr(tiny_imagenet, "ARCHIVE", missing)
    start = time.monotonic()
    with pytest.raises(DataError) as caught:
        load(DataConfig(dataset="tiny-imagenet"), tmp_path / "data")
    assert time.monotonic() - start < 2
    message = str(caught.value)
    for part in (
        f"tiny-imagenet is not under {tmp_path / 'data'}",
        "tiny-imagenet-200/wnids.txt is missing",
        f"{address}/tiny-imagenet-200.zip",
        "Connection refused",
        "--data-dir or TUNE_ODE_DATA",
        "network",
    ):
        assert part in message
    assert "\n" not in message


def test_a_server_that_does_not_respond_times_out(web, monkeypatch, provide_file):
    web.stall = threading.Event()
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    with pytest.raises(DataError, match="timed out"):
        provide_file(quiet)


def test_an_unwritable_data_directory_is_rejected(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot be put there .*--data-dir or TUNE_ODE_DATA"):
        load(DataConfig(dataset="tiny-imagenet"), tmp_path / "file" / "below")


def test_complete_data_need_no_lock(tmp_path, web, provide_file):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "file.bin").write_bytes(CONTENT)
    provide_file(quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert web.requests == []


def test_the_url_and_checksum_of_tiny_imagenet():
    published = tiny_imagenet.ARCHIVE
    assert published.path == "tiny-imagenet-200.zip"
    assert published.md5 == "90528d7ca1a48142e341f4ef8d21d0de"
    assert Path(published.urls[0]).name == published.path
