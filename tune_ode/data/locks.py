"""One process at a time: a file lock that says when it waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tune_ode.data.images import Progress


@contextmanager
def locked(path: Path, doing: str, progress: Progress) -> Iterator[None]:
    """Hold the lock file; the operating system frees it when its holder dies.

    Args:
        path: of the lock file, made if need be and left in place: removing it would let two in.
        doing: what the lock's holder does, to tell who waits.
        progress: told once if another process holds the lock.

    Raises:
        OSError: the file cannot be made or locked.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress(f"waiting for another process {doing}", 0.0)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
