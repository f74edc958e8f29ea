"""Where a run is: a folder, or an object store's URL, read and written alike.

An object store answers each request in tens of milliseconds, so what is many is read at once; and
it replaces objects whole, so that a reader finds the old content or the new, as with a file.
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
from tune_ode.errors import RunFolderError, first_line
from tune_ode.remote_path import RemotePath

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]+)://(?P<login>[^/@]*@)?(?P<path>[^?#]*)(?:\?(?P<options>[^#]*))?",
    re.IGNORECASE,
)
_SCHEMES = "s3://, gs://, abfs://, hdfs:// or file://"
_AT_ONCE = 32
"""Requests; more of them are not answered sooner."""
_BATCH = 512
"""Answers that wait to be taken."""
_RETRY_SECONDS = 10
"""Google's client would try for a quarter of an hour where there are no credentials."""
_DEFAULTS = MappingProxyType(
    {
        # a small object is written by one request instead of three
        "s3": ("allow_delayed_open", "true"),
        "gs": ("retry_limit_seconds", str(_RETRY_SECONDS)),
        "gcs": ("retry_limit_seconds", str(_RETRY_SECONDS)),
    }
)
"""Scheme → an option that its URLs have unless they say otherwise."""
_LASTING = ("endpoint_override", "region", "scheme", "project_id", "retry_limit_seconds")
"""Options of a URL that may be written down."""

_A = TypeVar("_A")
_B = TypeVar("_B")


RunPath = Path | RemotePath


def run_path(run: str | Path | RemotePath) -> RunPath:
    """Return the place that a folder's name or a URL stands for.

    Raises:
        RunFolderError: a URL of a kind that is not known, or that is none.
    """
    if not isinstance(run, str) or not (url := _URL.match(run)):
        return run if isinstance(run, RemotePath) else Path(run)
    # takes a while to import, and only this needs it
    from pyarrow.fs import FileSystem, LocalFileSystem

    scheme = url["scheme"].lower()
    shown = f"{scheme}://{url['path'].rstrip('/')}"
    given = (url["options"] or "").split("&")
    if scheme in _DEFAULTS and (default := _DEFAULTS[scheme])[0] not in run:
        run += f"{'&' if '?' in run else '?'}{'='.join(default)}"
    try:
        filesystem, key = FileSystem.from_uri(run)
    except (OSError, ValueError, ImportError) as error:  # pyarrow's own errors are such
        # what it says may hold the whole URL, credentials included
        said = first_line(error).replace(run, shown)
        raise RunFolderError(
            f"{shown} cannot be opened: {said}; a run is a folder, or a URL with {_SCHEMES}"
        ) from None
    if isinstance(filesystem, LocalFileSystem):
        return Path(key)
    if not key.strip("/"):
        raise RunFolderError(f"{shown} is not a run directory: it names no bucket")
    options = "&".join(option for option in given if option.partition("=")[0] in _LASTING)
    return RemotePath(filesystem, key.rstrip("/"), shown, options)


def persistent_path(run: str | Path | RemotePath) -> RunPath:
    """Return the place of a run that is written to: other processes and later starts open it too.

    Raises:
        RunFolderError: as `place`, and as `require_lasting`.
    """
    if isinstance(run, str):
        require_persistent(run)
    return run_path(run)


def require_persistent(run: str) -> None:
    """Refuse a URL that could not be written down.

    Raises:
        RunFolderError: it holds credentials, or options that might be such.
    """
    if (url := _URL.match(run)) is None:
        return
    options = [option.partition("=")[0] for option in (url["options"] or "").split("&")]
    if url["login"] or set(options) - {"", *_LASTING}:
        raise RunFolderError(
            f"{url['scheme'].lower()}://{url['path'].rstrip('/')}: the URL of a run that is "
            "written to holds no credentials, since its trials' processes and a resume take "
            "them from the environment, and no option but " + ", ".join(_LASTING)
        )


def join(run: str, name: str) -> str:
    """Return what names a part of a folder or URL, without opening it."""
    if _URL.match(run) is None:
        return f"{run.rstrip('/')}/{name}"
    folder, mark, options = run.partition("?")
    return f"{folder.rstrip('/')}/{quote(name)}{mark}{options}"


def address(run: RunPath) -> str:
    """Return what `place` finds it by, on any machine."""
    return str(run) if isinstance(run, Path) else run.address


def shown(place: RunPath) -> str:
    """Return a place as it is told of to a person who works here."""
    if isinstance(place, Path) and place.is_relative_to(Path.cwd()):
        return str(place.relative_to(Path.cwd()))
    return str(place)


def shell_quoted(run: RunPath) -> str:
    """Return a place as that person would type it, in a command."""
    return shlex.quote(shown(run) if isinstance(run, Path) else run.address)


@contextmanager
def local_copy(path: RunPath) -> Iterator[Path]:
    """Give a file as it lies on this machine; of an object, a copy that goes away afterwards.

    Raises:
        RunFolderError: the object is not there, or cannot be read.
    """
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="tune-ode-") as folder:
        copy = Path(folder) / path.name
        try:
            copy.write_bytes(path.read_bytes())
        except FileNotFoundError:
            raise RunFolderError(f"there is no {path}; check the URL") from None
        yield copy


def write_atomic(path: RunPath, content: str | bytes) -> None:
    """Write a file or object whole: a reader finds what was there before, or this."""
    if isinstance(path, Path):
        records.write_atomic(path, content)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def map_io(read: Callable[[_A], _B], places: Sequence[_A], *, where: RunPath) -> Iterator[_B]:
    """Yield what is read at each place, in their order; of an object store many at once.

    Args:
        read: of one place.
        places: to be read.
        where: what they are in.
    """
    if isinstance(where, Path):
        yield from map(read, places)
        return
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, len(places), _BATCH):
            yield from pool.map(read, places[start : start + _BATCH])
