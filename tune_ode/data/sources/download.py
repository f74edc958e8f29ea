"""Verified downloads, by one process at a time.

Archives are downloaded and unpacked in a staging directory next to the destination, and moved when
complete. An interrupted download leaves only the staging directory, which the next one removes.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tune_ode.data.images import Progress
from tune_ode.data.locks import locked
from tune_ode.errors import DataError

TIMEOUT = 20.0
"""Seconds without a response after which a server counts as unreachable."""
_BLOCK = 1 << 18
_COMPRESSED = (".gz", ".zip")


@dataclass(frozen=True)
class Archive:
    """A published file of a data set; compressed ones are unpacked in their directory."""

    path: str
    """Relative to the data directory; a valid file there is not downloaded again."""
    md5: str
    urls: tuple[str, ...]
    """Mirrors, in the order to try them."""


def provide(
    dataset: str,
    needed: Sequence[str],
    archives: Sequence[Archive],
    data_dir: Path,
    progress: Progress,
) -> None:
    """Download and unpack the files of a data set unless they exist.

    Args:
        dataset: name, for messages and for the lock that allows one process to download.
        needed: required files, relative to `data_dir`.
        archives: archives that contain them.
        data_dir: data directory, created if missing.
        progress: called for each archive.

    Raises:
        DataError: names the missing file, the failure and the remedy.
    """
    if not _missing(needed, data_dir):
        return
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with locked(data_dir / f".{dataset}.lock", f"that downloads {dataset}", progress):
            if missing := _missing(needed, data_dir):
                for stale in data_dir.glob(f".{dataset}-*.partial"):
                    shutil.rmtree(stale, ignore_errors=True)
                staging = Path(tempfile.mkdtemp(".partial", f".{dataset}-", data_dir))
                try:
                    for archive in archives:
                        _stage(archive, data_dir, staging, progress)
                    _merge_tree(staging, data_dir)
                finally:
                    shutil.rmtree(staging, ignore_errors=True)
    except _Unavailable as error:
        raise DataError(
            f"{dataset} is not under {data_dir} ({missing} is missing) and {error}; {_REMEDY}"
        ) from error
    except OSError as error:
        raise DataError(
            f"{dataset} is not under {data_dir} and cannot be put there "
            f"({error.strerror or error}); {_REMEDY}"
        ) from error


_REMEDY = "pass its location as --data-dir or TUNE_ODE_DATA, or connect to the network"


class _Unavailable(Exception):
    """An archive could not be downloaded from any of its mirrors."""


class _Damaged(Exception):
    """A download differs from the published file."""


def _missing(needed: Sequence[str], data_dir: Path) -> str | None:
    return next((path for path in needed if not (data_dir / path).is_file()), None)


def _stage(archive: Archive, data_dir: Path, staging: Path, progress: Progress) -> None:
    """Put the content of an archive into the staging directory, with the layout of `data_dir`."""
    source, staged = data_dir / archive.path, staging / archive.path
    staged.parent.mkdir(parents=True, exist_ok=True)
    if not (source.is_file() and _md5(source) == archive.md5):
        _download(archive, staged, progress)
        source = staged
    if source.suffix in _COMPRESSED:
        # imported lazily: existing data do not need torch
        from torchvision.datasets.utils import extract_archive

        progress(f"unpacking {source.name}", 0.0)
        extract_archive(str(source), str(staged.parent))
        staged.unlink(missing_ok=True)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, _new_md5).hexdigest()


def _new_md5() -> hashlib._Hash:
    # checksums detect damage, not attacks; this also works where FIPS forbids MD5
    return hashlib.md5(usedforsecurity=False)


def _download(archive: Archive, path: Path, progress: Progress) -> None:
    failures = []
    for url in archive.urls:
        try:
            _fetch(url, path, archive.md5, progress)
            return
        except (OSError, http.client.HTTPException, _Damaged) as error:
            reason = getattr(error, "reason", error)  # URLError wraps the cause
            failures.append(f"{url} ({reason})")
    raise _Unavailable(f"could not be downloaded from {' or '.join(failures)}")


def _fetch(url: str, path: Path, md5: str, progress: Progress) -> None:
    digest, done = _new_md5(), 0
    request = urllib.request.Request(url, headers={"User-Agent": "tune-ode"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response, path.open("wb") as file:
        length = int(response.headers.get("Content-Length") or 0)
        while block := response.read(_BLOCK):
            file.write(block)
            digest.update(block)
            done += len(block)
            progress(f"downloading {path.name}", min(done / length, 1.0) if length else 0.0)
    if digest.hexdigest() != md5:
        raise _Damaged(
            f"received {done} bytes with MD5 {digest.hexdigest()}, expected MD5 {md5}"
            if done >= length
            else f"the connection was lost after {done} of {length} bytes"
        )


def _merge_tree(source: Path, target: Path) -> None:
    """Move the files of a tree into another; merge existing directories."""
    for entry in sorted(source.iterdir()):
        destination = target / entry.name
        if entry.is_dir() and destination.is_dir():
            _merge_tree(entry, destination)
        else:
            os.replace(entry, destination)
