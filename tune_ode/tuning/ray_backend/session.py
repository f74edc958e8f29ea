"""A private temporary directory for a local Ray: sockets, logs and everything else that it writes.

By default, Ray writes to a directory that all users share, removes nothing, and fails in a
directory with a long name. This module does not import Ray.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tune_ode.errors import UsageError
from tune_ode.process.spawn import environment

_PREFIX = "tune-ode."
_LOCK = "lock"
_RAY_SOCKET = "/r/session_2026-11-30_17-51-49_276673_4194304/sockets/plasma_store"
MAX_BYTES = 107 - len(_RAY_SOCKET) - len(f"/{_PREFIX}12345678")
"""Maximum length of the parent directory's path; 107 is the limit for a socket's."""
_NEW_SECONDS = 60.0
"""A directory without a lock is being created for at most this long."""
_REMOVAL_SECONDS = 5.0
"""Ray's processes may write for a moment after it was shut down."""


def is_connected() -> bool:
    """Return whether this process is connected to a Ray cluster, or has started one."""
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()


@contextlib.contextmanager
def connection_kept() -> Iterator[None]:
    """Close a connection to Ray that the block opens, whatever it raises; leave an earlier one."""
    before = is_connected()
    with environment({}, changed=("RAY_AUTH_MODE",)):
        try:
            yield
        finally:
            if is_connected() and not before:
                sys.modules["ray"].shutdown()


def check_session_directory() -> None:
    """Check that `session_directory` can create one.

    Raises:
        UsageError: no temporary directory is writable with a short enough path.
    """
    _create().rmdir()


@contextlib.contextmanager
def session_directory() -> Iterator[Path]:
    """Create the directory and remove it after the block.

    Those that killed processes left are removed first.

    Raises:
        UsageError: as `check_session_directory`.
    """
    for parent in _parents():
        for path in parent.glob(f"{_PREFIX}*"):
            _remove_abandoned(path)
    directory = _create()
    try:
        with _locked(directory):
            yield directory
    finally:
        deadline = time.monotonic() + _REMOVAL_SECONDS
        while directory.exists() and time.monotonic() < deadline:
            shutil.rmtree(directory, ignore_errors=True)


def _parents() -> list[Path]:
    """Return directories for temporary files, best first, whose paths are short enough."""
    parents = [os.environ.get("RAY_TMPDIR"), "/tmp", "/var/tmp", "/dev/shm"]
    with contextlib.suppress(FileNotFoundError):  # none is writable
        parents.insert(1, tempfile.gettempdir())
    absolute = (os.path.abspath(parent) for parent in parents if parent)
    return [Path(parent) for parent in dict.fromkeys(absolute) if _fits(parent)]


def _fits(parent: str) -> bool:
    return len(os.fsencode(parent)) <= MAX_BYTES


def _create() -> Path:
    for parent in _parents():
        with contextlib.suppress(OSError):
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))  # only this user may enter
    raise UsageError(
        "Ray needs a writable directory for temporary files whose path has at most "
        f"{MAX_BYTES} bytes, but TMPDIR is {os.environ.get('TMPDIR', 'not set')} and neither /tmp, "
        "/var/tmp nor /dev/shm is writable; set TMPDIR to such a directory"
    )


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory; the operating system releases it with this process.

    Raises:
        OSError: another process holds it.
    """
    lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def _remove_abandoned(path: Path) -> None:
    with contextlib.suppress(OSError):
        info = path.lstat()
        is_new = time.time() - info.st_mtime < _NEW_SECONDS and not (path / _LOCK).exists()
        if info.st_uid == os.getuid() and path.is_dir() and not path.is_symlink() and not is_new:
            with _locked(path):
                shutil.rmtree(path, ignore_errors=True)
