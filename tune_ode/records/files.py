"""Read and write the files of a run directory: JSON, JSON lines, atomic replacement."""

from __future__ import annotations

import contextlib
import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from tune_ode.records.schema import Report


class Readable(Protocol):
    """A file, or an object in an object store."""

    def read_bytes(self) -> bytes:
        """Return the content."""


def is_intact_archive(content: bytes) -> bool:
    """Return whether a zip archive, which torch writes, is complete and has its checksums."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.testzip() is None
    except MemoryError:
        raise
    except Exception:  # of many types, since any byte may be damaged
        return False


def dumps(record: Mapping[str, Any]) -> str:
    """Return one line of strict JSON.

    Raises:
        ValueError: a number is not finite; `to_json` replaces such numbers.
    """
    return json.dumps(record, allow_nan=False, ensure_ascii=False)


def encode(text: str) -> bytes:
    r"""Return text as UTF-8; bytes of a path that are not Unicode are escaped as in JSON."""
    return text.encode(errors="backslashreplace")


def write_atomic(path: Path, content: str | bytes | memoryview) -> None:
    """Replace a file atomically: readers see the old content or the new content, never a mix.

    Raises:
        OSError: the file cannot be written; the old file is kept.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(encode(content) if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def read_json(path: Readable) -> dict[str, Any] | None:
    """Return the file's JSON object, or None if the file is missing or holds no JSON object."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def read_rows(path: Readable) -> list[dict[str, Any]]:
    """Return the objects of a JSON-lines file; a line truncated by a crash is skipped."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    try:  # parsing all lines at once is faster, and works unless a line is damaged
        rows = json.loads(b"[" + b",".join(filter(None, lines)) + b"]")
    except ValueError:
        rows = []
        for line in lines:
            with contextlib.suppress(ValueError):
                rows.append(json.loads(line))
    return [row for row in rows if isinstance(row, dict)]


def read_reports(path: Readable) -> Iterator[Report]:
    """Yield the reports of a trial; incomplete lines are skipped."""
    for row in read_rows(path):
        with contextlib.suppress(TypeError):
            yield Report.from_json(row)


def dedupe_by_epoch(reports: Iterator[Report]) -> list[Report]:
    """Return the last report of each epoch, by epoch: a restarted trial reports some again."""
    by_epoch = {report.epoch: report for report in reports}
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]
