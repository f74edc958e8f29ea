"""Image cache: decoded once per node, then memory-mapped by every process.

A cache is a directory of `.npy` files, named by the data set and a hash of its identity. It is
written under a temporary name and renamed when complete. Temporary directories of killed processes
are removed by the next one that builds a cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from filelock import FileLock, Timeout

from tune_ode.data.fingerprint import with_hashes
from tune_ode.data.images import BuildContext, ImageData, Levels, Progress, Source
from tune_ode.data.locks import locked
from tune_ode.data.paths import CACHE_VARIABLE
from tune_ode.errors import DataError

FORMAT = 3
"""Part of the key; incremented when the content or the rules for it change."""
ARRAYS = (
    *("train_images", "train_labels", "test_images", "test_labels"),
    *("train_hashes", "test_hashes"),
)
INFO = "info.json"
INFO_FIELDS = (
    *("class_names", "levels", "notes"),
    *("train_files", "test_files", "given_validation"),
)
_TEMPORARY = ".tmp"
_SPARE_BYTES = 16 << 20  # for labels, file headers and rounding to disk blocks


def open_or_build(dataset: str, source: Source, root: Path, progress: Progress) -> ImageData:
    """Open the cache of a source, and build it first if it does not exist.

    Args:
        dataset: name of the data set.
        source: where to read the images; its identity selects the cache.
        root: directory of all caches.
        progress: called during long operations.

    Raises:
        DataError: the source cannot be read, or the cache cannot be written.
    """
    key = _key(dataset, source.identity())
    location = dataset, root / key
    if location not in _OPENED:
        _OPENED[location] = _open(*location) or _build(dataset, source, root, key, progress)
    return _OPENED[location]


_OPENED: dict[tuple[str, Path], ImageData] = {}
"""One object per data set and process, so that equal images are the same object."""


def _build(dataset: str, source: Source, root: Path, key: str, progress: Progress) -> ImageData:
    folder = root / key
    with ExitStack() as stack:
        with _convert_errors(root):
            root.mkdir(parents=True, exist_ok=True)
            lock = locked(_lock(root, key), f"that prepares {dataset}", progress)
            stack.enter_context(lock)
        if data := _open(dataset, folder):
            return data
        _remove_stale(root, key)
        data = source.read(BuildContext(progress, lambda needed: _check_space(root, needed)))
        _check_space(root, data.train_images.nbytes + data.test_images.nbytes)
        progress("hashing images", 0.0)
        data = with_hashes(data)
        with _convert_errors(root):
            _write(data, root, key, progress)
    data = _open(dataset, folder)
    assert data is not None
    return data


def _key(dataset: str, identity: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", dataset.lower()).strip("-")[-40:]
    digest = hashlib.sha256(os.fsencode(f"{FORMAT} {identity}"))  # paths may be invalid Unicode
    return f"{name}-{digest.hexdigest()[:16]}"


def _lock(root: Path, key: str) -> Path:
    return root / f"{key}.lock"


def _open(dataset: str, folder: Path) -> ImageData | None:
    """Map the arrays; return None if the cache is missing or damaged."""
    try:
        info = json.loads((folder / INFO).read_text(encoding="utf-8"))
        values = {name: info[name] for name in INFO_FIELDS}
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        fields["levels"] = Levels(*fields["levels"]) if fields["levels"] else None
        arrays = {array: np.load(folder / f"{array}.npy", mmap_mode="r") for array in ARRAYS}
    except (OSError, ValueError, EOFError, LookupError, TypeError):
        return None
    return ImageData(dataset, **fields, **arrays)


def _write(data: ImageData, root: Path, key: str, progress: Progress) -> None:
    temporary = root / f"{key}.{uuid4().hex[:8]}{_TEMPORARY}"
    temporary.mkdir()
    try:
        for done, array in enumerate(ARRAYS):
            progress("writing the cache", done / len(ARRAYS))
            # not a memory map: with one, a full disk would kill the process instead of raising
            with (temporary / f"{array}.npy").open("wb") as file:
                np.save(file, np.ascontiguousarray(getattr(data, array)))
                file.flush()
                os.fsync(file.fileno())
        info = {name: getattr(data, name) for name in INFO_FIELDS}
        (temporary / INFO).write_text(json.dumps(info), encoding="utf-8")
        folder = root / key
        if folder.exists():  # damaged, else `_open` had succeeded; renaming needs a free name
            damaged = root / f"{key}.{uuid4().hex[:8]}{_TEMPORARY}"
            os.rename(folder, damaged)
            shutil.rmtree(damaged, ignore_errors=True)
        os.rename(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    progress("writing the cache", 1.0)


def _remove_stale(root: Path, held: str) -> None:
    """Remove temporary directories of killed processes; a running one holds its lock."""
    for temporary in root.glob(f"*{_TEMPORARY}"):
        key = temporary.name.split(".")[0]
        lock = FileLock(_lock(root, key))
        try:
            if key != held:
                lock.acquire(timeout=0)
            shutil.rmtree(temporary, ignore_errors=True)
        except (Timeout, OSError):
            continue
        finally:
            lock.release()


def _check_space(root: Path, needed: int) -> None:
    with _convert_errors(root):
        free = shutil.disk_usage(root).free
    needed += _SPARE_BYTES
    if free < needed:
        raise DataError(
            f"the image cache needs {needed / 1e6:,.0f} MB and {root} has {free / 1e6:,.0f} MB "
            f"free; free some space or set {CACHE_VARIABLE} to a directory on another disk"
        )


@contextmanager
def _convert_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"the image cache cannot be written to {root} ({error.strerror or error}); set "
            f"{CACHE_VARIABLE} to a writable directory with enough space"
        ) from error
