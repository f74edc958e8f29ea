"""Read and write the files of a run directory: JSON, JSON lines, atomic replacement."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from tune_ode.records.schema import Report


class Readable(Protocol):
    """A file, or an object of an object store."""

    def read_bytes(self) -> bytes:
        """Return all of it."""


def dumps(record: Mapping[str, Any]) -> str:
    """One line of strict JSON; a non-finite number is an error, it should have become null."""
    return json.dumps(record, allow_nan=False, ensure_ascii=False)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a whole file atomically: readers see the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_json(path: Readable) -> dict[str, Any] | None:
    """Return the file's object, or None where there is no file or it holds no JSON object."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def read_rows(path: Readable) -> list[dict[str, Any]]:
    """Return the objects of a file of JSON lines; a line cut off by a crash is passed over."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    try:  # at one go, which most files allow
        rows = json.loads(b"[" + b",".join(filter(None, lines)) + b"]")
    except ValueError:
        rows = []
        for line in lines:
            with contextlib.suppress(ValueError):
                rows.append(json.loads(line))
    return [row for row in rows if isinstance(row, dict)]


def read_reports(path: Readable) -> Iterator[Report]:
    """Yield the report lines of a trial, those that are whole."""
    for row in read_rows(path):
        with contextlib.suppress(TypeError):
            yield Report.from_json(row)


def dedupe_by_epoch(lines: Iterator[Report]) -> list[Report]:
    """Keep the last line per epoch, in the order of epochs: what a restart wrote again wins."""
    by_epoch = {line.epoch: line for line in lines}
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]
