"""Open the files of a run, which other people may have written or may be writing to.

Reading accepts regular files of a bounded size: a pipe or a device would block or never end.
Writing never goes through a link, so that it cannot leave the run directory.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import time
from collections.abc import Container, Iterator
from pathlib import Path
from typing import IO, Protocol

_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC  # without O_NONBLOCK, opening a pipe waits for its other end
_LEFTOVER = re.compile(r"\..+\.(?P<pid>\d{1,9})\.tmp")


class Object(Protocol):
    """An object in an object store."""

    def read_bytes(self, limit: int, /) -> bytes:
        """Return the content, or more than `limit` bytes of it."""


File = Path | Object


def read_file(path: File, limit: int) -> bytes:
    """Return the content of a regular file, or of an object.

    Args:
        path: file or object.
        limit: maximum size in bytes.

    Raises:
        FileNotFoundError: there is none.
        OSError: it is not a regular file, larger than the limit, or cannot be read.
    """
    if isinstance(path, Path):
        with open_regular(path, os.O_RDONLY) as file:
            content = file.read(limit + 1)
    else:
        content = path.read_bytes(limit)
    if len(content) > limit:
        raise OSError(errno.EMSGSIZE, f"larger than {limit / 2**20:g} MiB", str(path))
    return content


@contextlib.contextmanager
def open_regular(path: Path, flags: int) -> Iterator[IO[bytes]]:
    """Open a regular file, for writing without buffering; links are followed for reading only.

    Args:
        path: the file.
        flags: as for `os.open`.

    Raises:
        OSError: it is not a regular file, or a link and opened for writing; or as `open`.
    """
    writes = flags & (os.O_WRONLY | os.O_RDWR)
    descriptor = os.open(path, flags | _FLAGS | (os.O_NOFOLLOW if writes else 0), 0o666)
    with open(descriptor, "r+b" if writes else "rb", buffering=0 if writes else -1) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if writes and status.st_nlink > 1:
            raise OSError(errno.EMLINK, "it has another name elsewhere (a hard link)", str(path))
        yield file


def append(path: Path, lines: bytes) -> None:
    """Append lines to a file, completely or not at all; create the file if it is missing.

    Raises:
        OSError: as `open_regular`, or they cannot be written.
    """
    with open_regular(path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as file:
        before = os.fstat(file.fileno()).st_size
        # a crash may have truncated the last line: start a new one
        torn = before > 0 and os.pread(file.fileno(), 1, before - 1) != b"\n"
        content = b"\n" * torn + lines
        try:
            while content:  # an almost full disk accepts only a part
                content = content[file.write(content) :]
        except OSError:
            os.ftruncate(file.fileno(), before)
            raise


def write_atomic(path: Path, content: bytes | memoryview) -> None:
    """Replace a file atomically: readers see the old content or the new content, never a mix.

    The new content is on the disk when this returns. A link is replaced, not followed.

    Raises:
        OSError: the file cannot be written; the old file is kept.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        with open_regular(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
            left = memoryview(content)
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Write a directory to the disk: after a power cut it has its new names."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # not every file system can
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(directory: Path, *, older_than: float = 0.0) -> None:
    """Remove temporary files and directories that killed processes of this machine left.

    Args:
        directory: where `write_atomic` wrote.
        older_than: seconds since their last change.
    """
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            name = _LEFTOVER.fullmatch(entry.name)
            if name is None or is_running(int(name["pid"])):
                continue
            with contextlib.suppress(OSError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime < older_than:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)


def is_running(pid: object) -> bool:
    """Return whether a process of this machine is running."""
    try:
        number = int(str(pid))
        if number <= 0:  # to the kernel, a group of processes
            return False
        os.kill(number, 0)
    except PermissionError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return True


def find_links(directory: Path, names: Container[str]) -> Iterator[Path]:
    """Yield the links and special files in a directory that have one of the names."""
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.name in names and (
                entry.is_symlink() or not (entry.is_dir() or entry.is_file())
            ):
                yield Path(entry.path)
