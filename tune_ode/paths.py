"""Paths of runs: local directories and object-store URLs, read and written alike.

A request to an object store takes tens of milliseconds, so objects are read concurrently.
"""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import quote

from tune_ode import records
from tune_ode.errors import RunFolderError, UsageError, first_line, redact
from tune_ode.remote_path import RemotePath

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]+)://(?P<login>[^/@]*@)?(?P<path>[^?#]*)(?:\?(?P<options>[^#]*))?",
    re.IGNORECASE,
)
_ONE_SLASH = re.compile(r"(s3|gs|gcs|abfs|hdfs|file):/(?!/)", re.IGNORECASE)
"""A URL in which a slash is missing, which would be a local path."""
_SCHEMES = "s3://, gs://, abfs://, hdfs:// or file://"
_THREADS = 32
"""Concurrent requests; more are not answered sooner."""
_BATCH = 512
"""Maximum number of results held in memory."""
_RETRY_SECONDS = 10
"""Without credentials, Google's client would otherwise retry for 15 minutes."""
_DEFAULTS = MappingProxyType(
    {
        # a small object is written by one request instead of three
        "s3": ("allow_delayed_open", "true"),
        "gs": ("retry_limit_seconds", str(_RETRY_SECONDS)),
        "gcs": ("retry_limit_seconds", str(_RETRY_SECONDS)),
    }
)
"""Scheme → default of one URL option."""
_PERSISTENT = ("endpoint_override", "region", "scheme", "project_id", "retry_limit_seconds")
"""URL options that hold no credentials and may be stored."""

_T = TypeVar("_T")
_R = TypeVar("_R")
RunPath = Path | RemotePath


def expand_home(path: str | Path) -> Path:
    """Replace a leading `~` or `~user` by the home directory.

    Raises:
        UsageError: the user or the home directory is unknown.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(
            f"{path}: the home directory that ~ stands for is unknown; give an absolute path"
        ) from None


def run_path(run: str | Path | RemotePath) -> RunPath:
    """Return a local path, or the remote path of a URL.

    Raises:
        RunFolderError: the URL is invalid, or its scheme is not supported.
    """
    if isinstance(run, str) and (short := _ONE_SLASH.match(run)):
        whole = f"{short[1]}://{run[short.end() :]}"
        raise RunFolderError(f"{run} is neither a path nor a URL; a URL is written {whole}")
    if not isinstance(run, str) or not (url := _URL.match(run)):
        return run if isinstance(run, RemotePath) else Path(run)
    # slow to import, and only needed for URLs
    from pyarrow.fs import FileSystem, LocalFileSystem

    scheme = url["scheme"].lower()
    bare = _without_credentials(url)
    given = (url["options"] or "").split("&")
    if scheme in _DEFAULTS and (default := _DEFAULTS[scheme])[0] not in run:
        run += f"{'&' if '?' in run else '?'}{'='.join(default)}"
    try:
        filesystem, key = FileSystem.from_uri(run)
    except (OSError, ValueError, ImportError) as error:  # base classes of pyarrow's errors
        # the message may contain the URL with its credentials
        reason = first_line(error).replace(run, bare)
        raise RunFolderError(
            f"{bare} cannot be opened: {reason}; a run is a directory, or a URL with {_SCHEMES}"
        ) from None
    if isinstance(filesystem, LocalFileSystem):
        return Path(key)
    if not key.strip("/"):
        raise RunFolderError(f"{bare} is not a run directory: it names no bucket")
    options = "&".join(option for option in given if option.partition("=")[0] in _PERSISTENT)
    return RemotePath(filesystem, key.rstrip("/"), bare, options)


def persistent_path(run: str | Path | RemotePath) -> RunPath:
    """Return the path of a run to write to, which other processes and resumes can open.

    Raises:
        RunFolderError: as `run_path` and `require_persistent`.
    """
    if isinstance(run, str):
        require_persistent(run)
    return run_path(run)


def require_persistent(run: str) -> None:
    """Reject a URL that cannot be stored.

    Raises:
        RunFolderError: the URL has credentials, or options that may be credentials.
    """
    if (url := _URL.match(run)) is None:
        return
    options = [option.partition("=")[0] for option in (url["options"] or "").split("&")]
    if url["login"] or set(options) - {"", *_PERSISTENT} or redact(run) != run:
        raise RunFolderError(
            f"{_without_credentials(url)}: the URL of a run to write to must have no credentials, "
            "since other processes and a resume take them from the environment, and no options "
            "except " + ", ".join(_PERSISTENT)
        )


def _without_credentials(url: re.Match[str]) -> str:
    return f"{url['scheme'].lower()}://{url['path'].rstrip('/')}"


def join(run: str, name: str) -> str:
    """Return the path or URL of a part of a run, without opening it."""
    if _URL.match(run) is None:
        return f"{run.rstrip('/')}/{name}"
    directory, mark, options = run.partition("?")
    return f"{directory.rstrip('/')}/{quote(name)}{mark}{options}"


def address(run: RunPath) -> str:
    """Return the string that `run_path` opens the run with, on any machine."""
    return str(run) if isinstance(run, Path) else run.address


def display_path(path: RunPath) -> str:
    """Return a path for messages: relative if it is in the current directory."""
    if isinstance(path, Path) and path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def shell_quoted(run: RunPath) -> str:
    """Return a path or URL for a shell command in a message."""
    return shlex.quote(display_path(run) if isinstance(run, Path) else run.address)


@contextmanager
def local_copy(path: RunPath) -> Iterator[Path]:
    """Yield the local path of a file; an object is downloaded to a temporary one.

    Raises:
        RunFolderError: the object does not exist or cannot be read.
    """
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="tune-ode-") as directory:
        copy = Path(directory) / path.name
        try:
            copy.write_bytes(path.read_bytes())
        except FileNotFoundError:
            raise RunFolderError(f"there is no {path}; check the URL") from None
        yield copy


def write_atomic(path: RunPath, content: str | bytes) -> None:
    """Replace a file or object atomically: readers see the old content or the new content."""
    if isinstance(path, Path):
        records.write_atomic(path, content)
    else:
        path.write_bytes(records.encode(content) if isinstance(content, str) else content)


def map_io(read: Callable[[_T], _R], items: Sequence[_T], *, where: RunPath) -> Iterator[_R]:
    """Yield the result of a function for each item, in order; concurrently in an object store.

    Args:
        read: function that reads one item.
        items: what to read.
        where: the run that the items belong to.
    """
    if isinstance(where, Path):
        yield from map(read, items)
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(items), _BATCH):
            yield from pool.map(read, items[start : start + _BATCH])
