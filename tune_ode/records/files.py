"""Read and write the files of a run directory: JSON, JSON lines, atomic replacement."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from tune_ode.records import access
from tune_ode.records.access import File
from tune_ode.records.record import InvalidRecord, Record, problem
from tune_ode.records.schema import Report
from tune_ode.records.values import parse_object

JSON_BYTES = 16 * 2**20
"""Maximum size of a JSON file; parsed, one may take twenty-five times as much memory."""
REPORTS_BYTES = 2**28
"""Maximum size of reports.jsonl: a quarter of a million reports."""
_LINE_BYTES = 2**16
_BATCH = 256
"""Lines that are parsed at once, which is faster; in memory, they take thirty times their size."""
_MAX_INVALID = 1000
"""Invalid lines after which the rest of a file is not read."""

_REPORT, _REPORTS = TypeAdapter(Report), TypeAdapter(list[Report])
_T = TypeVar("_T", bound=Record)


def is_intact_archive(file: IO[bytes]) -> bool:
    """Return whether a zip archive, which torch writes, is complete and has its checksums.

    An archive that takes more memory than its size is none of torch, which compresses nothing.
    """
    try:
        size = file.seek(0, io.SEEK_END)
        with zipfile.ZipFile(file) as archive:
            files = archive.infolist()
            stored = all(one.compress_type == zipfile.ZIP_STORED for one in files)
            fits = sum(one.file_size for one in files) <= size
            return stored and fits and archive.testzip() is None
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
    """Replace a file atomically by text, as UTF-8, or by bytes; see `access.write_atomic`."""
    access.write_atomic(path, encode(content) if isinstance(content, str) else content)


def read_json(path: File) -> dict[str, Any] | None:
    """Return the file's JSON object, or None if there is no file.

    Raises:
        InvalidRecord: the file holds something else.
        OSError: it cannot be read.
    """
    try:
        return parse_object(access.read_file(path, JSON_BYTES))
    except FileNotFoundError:
        return None


def read_record(path: File, record: type[_T]) -> _T | None:
    """Return the record in a file, or None if there is no file.

    Raises:
        InvalidRecord: the file holds something else.
        OSError: it cannot be read.
    """
    values = read_json(path)
    return None if values is None else record.from_json(values)


def read_rows(path: File) -> list[dict[str, Any]]:
    """Return the objects of a JSON-lines file; other lines are skipped.

    Raises:
        OSError: the file cannot be read.
    """
    rows = []
    for line in io.BytesIO(access.read_file(path, REPORTS_BYTES)):
        with contextlib.suppress(InvalidRecord):
            rows.append(parse_object(line))
    return rows


def read_reports(path: File, passed_over: list[str] | None = None) -> list[Report]:
    """Return the valid reports of a trial, in the order of the file.

    Args:
        path: reports.jsonl; without the file there are no reports.
        passed_over: receives one line if others were found; a line that a crash truncated does not
            count.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        lines = io.BytesIO(access.read_file(path, REPORTS_BYTES))
    except FileNotFoundError:
        return []
    found: list[Report] = []
    problems: list[str] = []
    while batch := list(islice(lines, _BATCH)):
        if len(problems) > _MAX_INVALID:
            problems.append("the rest of the file")
            break
        found += _parse_lines([line.rstrip(b"\r\n") for line in batch], problems)
    if problems and passed_over is not None:
        number = len(problems)
        passed_over.append(f"{number} line{'s' * (number > 1)}, the first since {problems[0]}")
    return found


def _parse_lines(lines: list[bytes], problems: list[str]) -> Iterable[Report]:
    if all(len(line) <= _LINE_BYTES for line in lines):
        try:
            return _REPORTS.validate_json(b"[" + b",".join(lines) + b"]")
        except ValidationError:
            pass
    found = []
    for line in lines:
        if len(line) > _LINE_BYTES:
            problems.append(f"it is longer than {_LINE_BYTES} bytes")
            continue
        try:
            found.append(_REPORT.validate_json(line))
        except ValidationError as error:
            if line.endswith(b"}"):
                problems.append(problem(error))
    return found


def dedupe_by_epoch(reports: Iterable[Report]) -> list[Report]:
    """Return the last report of each epoch, by epoch: a restarted trial reports some again."""
    by_epoch = {report.epoch: report for report in reports}
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]
