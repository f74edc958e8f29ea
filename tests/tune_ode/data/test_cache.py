"""Image cache: built once, never partial, with remedies for failed writes."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.tune_ode.data.conftest import quiet, release
from tune_ode.config import DataConfig
from tune_ode.data import cache, load
from tune_ode.data.cache import ARRAYS
from tune_ode.data.fingerprint import with_hashes
from tune_ode.data.images import BuildContext, ImageData
from tune_ode.errors import DataError

LOAD = """
import sys, time
from tune_ode.config import DataConfig
from tune_ode.data import load

dataset, stop_at = sys.argv[1:]

def progress(operation, fraction):
    print(operation, flush=True)
    if operation == stop_at and fraction >= 0.5:
        print("stopped", flush=True)
        time.sleep(60)
    if operation == "decoding images":
        time.sleep(0.2)

print("ready", flush=True)
sys.stdin.readline()
data = load(DataConfig(dataset=dataset), progress=progress)
print("sum", int(data.train_images.sum()), flush=True)
"""


class CountingSource:
    """A source that counts its reads."""

    def __init__(self, size: int = 8) -> None:
        self.reads, self.size = 0, size

    def identity(self) -> str:
        return "invented"

    def read(self, build: BuildContext) -> ImageData:
        self.reads += 1
        images = np.arange(24 * self.size**2, dtype=np.uint8).reshape(24, 1, self.size, self.size)
        labels = np.arange(24, dtype=np.int64) % 2
        return ImageData("", ("a", "b"), images[:16], labels[:16], images[16:], labels[16:])


@pytest.fixture
def folder(tree) -> Path:
    numbers = np.random.default_rng(0)
    images = [numbers.integers(0, 256, (8, 8, 3), np.uint8) for _ in range(300)]  # two chunks
    return tree({"a": images[:150], "b": images[150:]})


def only_entry(root: Path) -> Path:
    (entry,) = [path for path in root.iterdir() if path.suffix != ".lock"]
    return entry


def forget_opened_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate another process."""
    monkeypatch.setattr(cache, "_OPENED", {})


def test_arrays_are_memory_mapped_read_only_and_read_once(cache_root, monkeypatch):
    source = CountingSource()
    built = cache.open_or_build("x", source, cache_root, quiet)
    forget_opened_caches(monkeypatch)
    opened = cache.open_or_build("x", source, cache_root, quiet)
    expected = with_hashes(source.read(BuildContext(quiet, lambda needed: None)))
    assert source.reads == 2
    for data in (built, opened):
        assert (data.name, data.class_names) == ("x", ("a", "b"))
        for array in ARRAYS:
            mapped = getattr(data, array)
            assert isinstance(mapped, np.memmap)
            assert not mapped.flags.writeable
            assert np.array_equal(mapped, getattr(expected, array))


def test_a_process_opens_a_cache_once(cache_root):
    """Trials with the same object share the images on the device."""
    source = CountingSource()
    first = cache.open_or_build("x", source, cache_root, quiet)
    assert cache.open_or_build("x", source, cache_root, quiet) is first


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("damage", ["remove", "empty", "cut"])
def test_a_damaged_cache_is_rebuilt(cache_root, monkeypatch, array, damage):
    source = CountingSource()
    cache.open_or_build("x", source, cache_root, quiet)
    file = only_entry(cache_root) / f"{array}.npy"
    if damage == "remove":
        file.unlink()
    else:
        os.truncate(file, 0 if damage == "empty" else file.stat().st_size - 1)
    forget_opened_caches(monkeypatch)
    rebuilt = cache.open_or_build("x", source, cache_root, quiet)
    assert source.reads == 2
    assert len(rebuilt.train_images) == 16
    only_entry(cache_root)


def test_concurrent_processes_build_once(folder, python, cache_root):
    processes = [python(LOAD, f"folder:{folder}", "") for _ in range(2)]
    release(*processes)
    outputs = [process.communicate()[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    built = ["writing the cache" in lines for lines in outputs]
    waited = [any(line.startswith("waiting for another") for line in lines) for lines in outputs]
    assert sorted(built) == [False, True]
    assert waited == [not own for own in built]
    assert outputs[0][-1] == outputs[1][-1]
    only_entry(cache_root)


@pytest.mark.parametrize("stage", ["decoding images", "writing the cache"])
def test_a_killed_builder_leaves_no_valid_cache(folder, python, cache_root, monkeypatch, stage):
    process = python(LOAD, f"folder:{folder}", stage)
    release(process)
    assert "stopped\n" in iter(process.stdout.readline, "")
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    temporary = list(cache_root.glob("*.tmp"))
    assert len(temporary) == (stage == "writing the cache")

    data = load(DataConfig(dataset=f"folder:{folder}"))
    assert len(data.train_images) + len(data.test_images) == 300
    assert only_entry(cache_root).suffix == ""


def test_stale_directories_of_other_data_are_removed_unless_in_use(cache_root):
    stale, in_use = cache_root / "mnist-0.abc.tmp", cache_root / "svhn-0.abc.tmp"
    stale.mkdir(parents=True)
    in_use.mkdir()
    with cache.locked(cache_root / "svhn-0.lock", "", quiet):
        cache.open_or_build("x", CountingSource(), cache_root, quiet)
    assert in_use.exists()
    assert not stale.exists()


@pytest.mark.parametrize("folder", ["file/below", "file"])
def test_an_unwritable_cache_names_the_remedy(tmp_path, monkeypatch, folder):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / folder))
    with pytest.raises(DataError, match=r"cannot be written to .*; set TUNE_ODE_CACHE") as caught:
        load(DataConfig())
    assert "\n" not in str(caught.value)


def test_missing_space_is_detected_before_the_images_are_read(folder, cache_root, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    operations = []
    with pytest.raises(DataError, match=r"MB free; free some space or set TUNE_ODE_CACHE"):
        load(DataConfig(dataset=f"folder:{folder}"), progress=lambda *args: operations.append(args))
    assert operations == []


def test_a_full_disk_leaves_no_files(cache_root, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(DataError, match=r"No space left on device.*TUNE_ODE_CACHE"):
        cache.open_or_build("x", CountingSource(), cache_root, quiet)
    assert [path.suffix for path in cache_root.iterdir()] == [".lock"]


def test_a_failed_read_leaves_no_files_and_releases_the_lock(cache_root):
    class Broken(CountingSource):
        def read(self, build: BuildContext) -> ImageData:
            raise DataError("broken")

    with pytest.raises(DataError, match="broken"):
        cache.open_or_build("x", Broken(), cache_root, quiet)
    assert cache.open_or_build("x", CountingSource(), cache_root, quiet).classes == 2
