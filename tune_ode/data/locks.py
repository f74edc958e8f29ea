"""A file lock that reports when it waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tune_ode.data.images import Progress


@contextmanager
def locked(path: Path, operation: str, progress: Progress) -> Iterator[None]:
    """Hold a lock file, which the operating system releases when the process dies.

    Args:
        path: lock file; created if missing and never removed, since that would allow two holders.
        operation: what the holder does, for the message of a waiting process.
        progress: called once if another process holds the lock.

    Raises:
        OSError: the file cannot be created or locked.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress(f"waiting for another process {operation}", 0.0)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
