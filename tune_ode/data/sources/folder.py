"""A folder of one's own images: PATH/train/<class>/… and PATH/test/<class>/…, or PATH/<class>/….

The rules, in full:

- A class is a folder; its images lie in it or in folders below it. Hidden files and files without
  an image's extension are passed over.
- Without `train/` and `test/`, a stratified fifth of the images, always the same, is the test set.
- Images are grey (one channel) if every file is stored as grey, else colour.
- They become squares of the most common shorter side (of equally common ones, the longest), but at
  most 64 pixels: resized until the shorter side is that long, then cropped to the centre.
- None may have fewer than 8 pixels a side.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tune_ode.data.images import LARGEST_SIDE, SMALLEST_SIDE, Build, ImageData, Images, Labels
from tune_ode.data.sources.decode import EXTENSIONS, Header, read_header, read_images
from tune_ode.data.splits import SMALLEST_CLASS_TO_SPLIT, hold_out_test
from tune_ode.errors import DataError

TRAIN, TEST = "train", "test"
SMALLEST_TRAINING_CLASS = 2
"""One image to train on and one to validate on."""


class File(NamedTuple):
    """An image file as listed."""

    path: str
    bytes: int
    modified: int
    """Nanoseconds of Unix time."""


Classes = dict[str, list[File]]


@dataclass(frozen=True)
class Folder:
    """The source `folder:PATH`."""

    dataset: str
    path: Path

    def identity(self) -> str:
        """Every file's path, size and time of change: what changes them rebuilds the cache."""
        digest = hashlib.sha256()
        for part, classes in self._parts.items():
            for name, files in classes.items():
                for file in files:
                    digest.update(repr((part, name, *file)).encode("utf-8", "surrogateescape"))
        return f"{self.path} {digest.hexdigest()}"

    def read(self, build: Build) -> ImageData:
        """Decode the tree; see the module's rules and `Source.read`."""
        names = tuple(self._parts[TRAIN])
        files, labels = _flat(self._parts[TRAIN])
        if TEST in self._parts:
            test_files, test_labels = _flat(self._parts[TEST])
        else:
            parts = hold_out_test(labels)
            test_files = [files[place] for place in parts.validation]
            files = [files[place] for place in parts.train]
            labels, test_labels = labels[parts.train], labels[parts.validation]
        images = _read_in_one_size([*files, *test_files], build)
        train, test = np.split(images, [len(files)])
        return ImageData(self.dataset, names, train, labels, test, test_labels)

    @cached_property
    def _parts(self) -> dict[str, Classes]:
        """The files of each class of `train` and, where it is there, `test`."""
        if not self.path.is_dir():
            found = "is a file" if self.path.exists() else "does not exist"
            raise DataError(
                f"the image folder {self.path} {found}; give folder:PATH of a folder that holds "
                "train/<class>/ and test/<class>/, or <class>/, with the images"
            )
        try:
            return self._list_parts()
        except OSError as error:
            raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error

    def _list_parts(self) -> dict[str, Classes]:
        train, test = self.path / TRAIN, self.path / TEST
        if train.is_dir() and test.is_dir():
            parts = {TRAIN: _list_classes(train), TEST: _list_classes(test)}
            _check_same_classes(self.path, parts)
            _check_counts(train, parts[TRAIN], SMALLEST_TRAINING_CLASS)
            return parts
        if train.is_dir() and _subfolders(train):
            raise DataError(
                f"{self.path} has {TRAIN}/ but no {TEST}/; add {TEST}/ with the same classes, or "
                f"give folder:{train} to have a fifth of it held out as the test set"
            )
        classes = _list_classes(self.path)
        _check_counts(self.path, classes, SMALLEST_CLASS_TO_SPLIT)
        return {TRAIN: classes}


def _list_classes(folder: Path) -> Classes:
    names = _subfolders(folder)
    if not names:
        raise DataError(
            f"{folder} holds no class folders; put each class's images in one of its own"
        )
    classes = {name: list(_images(folder / name)) for name in names}
    if not any(classes.values()):
        raise DataError(f"{folder} holds no images; they must end in {', '.join(EXTENSIONS)}")
    if len(classes) == 1:
        raise DataError(
            f"{folder} holds one class only, '{names[0]}'; a classifier needs at least two"
        )
    return classes


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not _hidden(entry))


def _images(folder: Path) -> Iterator[File]:
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if _hidden(entry):
            continue
        if entry.is_dir():
            yield from _images(Path(entry.path))
        elif entry.name.lower().endswith(EXTENSIONS):
            status = entry.stat()
            yield File(entry.path, status.st_size, status.st_mtime_ns)


def _hidden(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(".")


def _check_same_classes(folder: Path, parts: dict[str, Classes]) -> None:
    differing = [
        f"'{name}' is in {part}/ alone"
        for part, other in ((TRAIN, TEST), (TEST, TRAIN))
        for name in parts[part]
        if name not in parts[other]
    ]
    if differing:
        raise DataError(
            f"{folder}: {TRAIN}/ and {TEST}/ must hold the same classes, but "
            f"{', '.join(differing[:5])}{' …' if len(differing) > 5 else ''}"
        )
    for name, files in parts[TEST].items():
        if not files:
            raise DataError(f"class '{name}' in {folder / TEST} has no images; add some")


def _check_counts(folder: Path, classes: Classes, least: int) -> None:
    for name, files in classes.items():
        if len(files) < least:
            raise DataError(
                f"class '{name}' in {folder} has {len(files)} images and needs at least {least} to "
                "be split into parts to train, to validate and to test on; add images or remove it"
            )


def _flat(classes: Classes) -> tuple[list[Path], Labels]:
    files = [Path(file.path) for members in classes.values() for file in members]
    sizes = [len(members) for members in classes.values()]
    return files, np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)


def _read_in_one_size(files: list[Path], build: Build) -> Images:
    # opening a small image costs as much as decoding it: so not all of them for their sizes first,
    # but once in the shape of the first one, and again only if that is not the common shape
    shape = _common_shape(files[:1], [read_header(files[0])])
    build.check_room(len(files) * prod(shape))
    images, headers = read_images(files, shape, "decoding images", build.progress)
    common = _common_shape(files, headers)
    if common != shape:
        build.check_room(len(files) * prod(common))
        images, _ = read_images(
            files, common, "decoding images in their common size", build.progress
        )
    return images


def _common_shape(files: list[Path], headers: list[Header]) -> tuple[int, int, int]:
    for file, header in zip(files, headers, strict=True):
        if min(header.width, header.height) < SMALLEST_SIDE:
            raise DataError(
                f"{file} is {header.width}×{header.height} pixels; images need at least "
                f"{SMALLEST_SIDE} a side: remove it or enlarge it"
            )
    sides = Counter(min(header.width, header.height, LARGEST_SIDE) for header in headers)
    side = max(sides, key=lambda length: (sides[length], length))
    return (1 if all(header.grey for header in headers) else 3), side, side
