"""Downloads that are verified, made once, and never taken for whole when they broke off.

Everything is fetched and unpacked in a staging folder beside its destination and moved into place
when it is complete, so that a killed download leaves nothing but that folder, which the next one
removes.
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
"""Seconds without an answer from a server after which it counts as unreachable."""
_BLOCK = 1 << 18
_COMPRESSED = (".gz", ".zip")


@dataclass(frozen=True)
class Archive:
    """A file that a data set is published as; compressed ones are unpacked where they lie."""

    path: str
    """Under the data folder; a whole one found there is not downloaded again."""
    md5: str
    urls: tuple[str, ...]
    """Mirrors, tried in turn."""


def provide(
    dataset: str,
    needed: Sequence[str],
    archives: Sequence[Archive],
    data_dir: Path,
    progress: Progress,
) -> None:
    """See to it that a data set's files lie under the data folder.

    Args:
        dataset: its name, for messages and for the lock that lets one process download.
        needed: the files, relative to `data_dir`; if all are there nothing is done.
        archives: what they are unpacked from.
        data_dir: made if need be.
        progress: told of each archive.

    Raises:
        DataError: names the missing file, what failed, and the remedy.
    """
    if not _missing(needed, data_dir):
        return
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with locked(data_dir / f".{dataset}.lock", f"that downloads {dataset}", progress):
            if missing := _missing(needed, data_dir):
                for leftover in data_dir.glob(f".{dataset}-*.partial"):
                    shutil.rmtree(leftover, ignore_errors=True)
                staging = Path(tempfile.mkdtemp(".partial", f".{dataset}-", data_dir))
                try:
                    for archive in archives:
                        _stage(archive, data_dir, staging, progress)
                    _move_into(staging, data_dir)
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


_REMEDY = "say with --data-dir or TUNE_ODE_DATA where it is, or connect to the network"


class _Unavailable(Exception):
    """An archive that could not be downloaded from any of its mirrors; says why."""


class _Damaged(Exception):
    """A download that is not what was published."""


def _missing(needed: Sequence[str], data_dir: Path) -> str | None:
    return next((path for path in needed if not (data_dir / path).is_file()), None)


def _stage(archive: Archive, data_dir: Path, staging: Path, progress: Progress) -> None:
    """Put an archive's content into the staging folder, laid out as it will be in `data_dir`."""
    own, staged = data_dir / archive.path, staging / archive.path
    staged.parent.mkdir(parents=True, exist_ok=True)
    whole = own
    if not (own.is_file() and _md5(own) == archive.md5):
        _download(archive, staged, progress)
        whole = staged
    if whole.suffix in _COMPRESSED:
        # imported here, so that data which are there already need no torch
        from torchvision.datasets.utils import extract_archive

        progress(f"unpacking {whole.name}", 0.0)
        extract_archive(str(whole), str(staged.parent))
        staged.unlink(missing_ok=True)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, _new_md5).hexdigest()


def _new_md5() -> hashlib._Hash:
    # published checksums against damage, not against attack; so it works where FIPS forbids MD5
    return hashlib.md5(usedforsecurity=False)


def _download(archive: Archive, path: Path, progress: Progress) -> None:
    failures = []
    for url in archive.urls:
        try:
            _fetch(url, path, archive.md5, progress)
            return
        except (OSError, http.client.HTTPException, _Damaged) as error:
            reason = getattr(error, "reason", error)  # URLError wraps what went wrong
            failures.append(f"{url} ({reason})")
    raise _Unavailable(f"could not be downloaded from {' or '.join(failures)}")


def _fetch(url: str, path: Path, md5: str, progress: Progress) -> None:
    digest, done = _new_md5(), 0
    request = urllib.request.Request(url, headers={"User-Agent": "tune-ode"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer, path.open("wb") as file:
        length = int(answer.headers.get("Content-Length") or 0)
        while block := answer.read(_BLOCK):
            file.write(block)
            digest.update(block)
            done += len(block)
            progress(f"downloading {path.name}", min(done / length, 1.0) if length else 0.0)
    if digest.hexdigest() != md5:
        raise _Damaged(
            f"{done} bytes came with MD5 {digest.hexdigest()}; published is {md5}"
            if done >= length
            else f"the connection broke off after {done} of {length} bytes"
        )


def _move_into(source: Path, target: Path) -> None:
    """Move a tree's files into another, whole folders at once where the target has none."""
    for entry in sorted(source.iterdir()):
        destination = target / entry.name
        if entry.is_dir() and destination.is_dir():
            _move_into(entry, destination)
        else:
            os.replace(entry, destination)
