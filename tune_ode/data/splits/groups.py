"""Groups of images that belong together, such as the frames of a film or the scans of a patient."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from tune_ode.config.data import GROUP_FILES
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
    find = _mapped(Path(groups)) if groups.endswith(GROUP_FILES) else _matched(groups)
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
        return match and match[1]

    return find


def _mapped(path: Path) -> Callable[[str], str | None]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".json":
                groups = {name: str(group) for name, group in json.load(file).items()}
            else:
                rows = csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",")
                groups = {row[0].strip(): row[1].strip() for row in rows if len(row) > 1}
    except (OSError, ValueError, AttributeError, csv.Error) as error:
        raise DataError(
            f"data.groups: {path} cannot be read ({error}); it must map file names to groups: a "
            "JSON object, or rows of file and group"
        ) from error

    def find(file: str) -> str | None:
        parts = PurePosixPath(file).parts
        names = ("/".join(parts[first:]) for first in range(len(parts)))
        return next((groups[name] for name in names if name in groups), None)

    return find
