"""Groups of images that belong together, such as the frames of a film or the scans of a patient."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TextIO
from unicodedata import normalize

import numpy as np

from tune_ode.config.data import is_group_file
from tune_ode.data.images import Labels
from tune_ode.errors import DataError


def group_ids(files: Sequence[str], groups: str, dataset: str) -> Labels:
    """Return the number of each file's group, int64 (N,), from 0 in order of appearance.

    Args:
        files: paths relative to the data set, such as `train/cat/1.png`.
        groups: as in `DataConfig.groups`: a regular expression, which is searched in the path if it
            contains a slash and otherwise in the name; or a file that maps paths, without the first
            directories or complete, to groups.
        dataset: name of the data set, for messages.

    Raises:
        DataError: a file without a group, no files, or an unreadable mapping.
    """
    if not files:
        raise DataError(
            f"data.groups needs file names, which '{dataset}' has not; leave it out, or use "
            "folder:PATH"
        )
    find = _mapped(Path(groups)) if is_group_file(groups) else _matched(groups)
    found = [find(file) for file in files]
    if missing := [file for file, group in zip(files, found, strict=True) if group is None]:
        raise DataError(
            f"data.groups '{groups}' has no group for {len(missing)} of {len(files)} images, such "
            f"as '{missing[0]}'; every image must belong to a group"
        )
    numbers = {group: number for number, group in enumerate(dict.fromkeys(found))}
    return np.array([numbers[group] for group in found], dtype=np.int64)


def _matched(pattern: str) -> Callable[[str], str | None]:
    compiled = re.compile(pattern)
    in_path = "/" in pattern

    def find(file: str) -> str | None:
        match = compiled.search(file if in_path else PurePosixPath(file).name)
        return (match and match[1]) or None  # an empty one is none

    return find


def _mapped(path: Path) -> Callable[[str], str | None]:
    try:
        if path.is_fifo():
            raise ValueError("it is a named pipe")  # which would block
        with path.open(encoding="utf-8-sig", newline="") as file:
            groups: dict[str, str] = {}
            for row in _rows(file, path.suffix.lower()):
                name, group = (str(value).strip() for value in row[:2])
                if groups.setdefault(_normal(name), group) != group:
                    raise ValueError(
                        f"'{name}' has two groups, {groups[_normal(name)]} and {group}"
                    )
    except (OSError, ValueError, csv.Error) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise DataError(
            f"data.groups: {path} cannot be used ({reason}); it must map file names to groups: a "
            "JSON object, or rows of file and group"
        ) from error

    def find(file: str) -> str | None:
        parts = PurePosixPath(file).parts
        names = ("/".join(parts[first:]) for first in range(len(parts)))
        return next((groups[name] for name in names if groups.get(name)), None)

    return find


def _rows(file: TextIO, suffix: str) -> Iterator[Sequence[object]]:
    """Yield pairs of file and group.

    Raises:
        ValueError: the file has another form.
    """
    if suffix == ".json":
        # as pairs, since a name may occur twice
        pairs = json.load(file, object_pairs_hook=lambda pairs: tuple(pairs))
        if not isinstance(pairs, tuple):
            raise ValueError("not a JSON object")
        for name, group in pairs:
            if not isinstance(group, str | int):
                raise ValueError(f"'{name}' has a group that is not a string or an integer")
            yield name, group
        return
    for number, row in enumerate(csv.reader(file, delimiter="\t" if suffix == ".tsv" else ","), 1):
        if len(row) == 1 and row[0].strip():
            raise ValueError(f"row {number} has one column, '{row[0]}'")
        if len(row) > 1:
            yield row


def _normal(name: str) -> str:
    """Return a file's name in the form of a directory listing."""
    return str(PurePosixPath(normalize("NFC", name)))
