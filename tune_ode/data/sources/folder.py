"""Image folders: PATH/train/<class>/… and PATH/test/<class>/…, or PATH/<class>/….

Rules:

- A class is a directory with images, also in subdirectories. Hidden files and files without an
  image extension are ignored.
- Without `train/` and `test/`, the test set is a fixed stratified fifth of the images.
- Images are grey (one channel) if every file is stored as grey, else color.
- Images become squares with the most common shorter side (the largest one if tied), at most 64
  pixels: the shorter side is resized to it, then the center is cropped.
- Every side must have at least 8 pixels.
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

from tune_ode.data.images import (
    LARGEST_SIDE,
    SMALLEST_SIDE,
    BuildContext,
    ImageData,
    Images,
    Labels,
)
from tune_ode.data.sources.decode import EXTENSIONS, Header, read_header, read_images
from tune_ode.data.splits import SMALLEST_CLASS_TO_SPLIT, hold_out_test
from tune_ode.errors import DataError

TRAIN, TEST = "train", "test"
SMALLEST_TRAINING_CLASS = 2
"""One image each for training and validation."""


class File(NamedTuple):
    """An image file in a directory listing."""

    path: str
    bytes: int
    modified: int
    """Unix time in nanoseconds."""


Classes = dict[str, list[File]]


@dataclass(frozen=True)
class Folder:
    """The source `folder:PATH`."""

    dataset: str
    path: Path

    def identity(self) -> str:
        """Return a hash of the path, size and modification time of every file."""
        digest = hashlib.sha256()
        for part, classes in self._parts.items():
            for name, files in classes.items():
                for file in files:
                    digest.update(repr((part, name, *file)).encode("utf-8", "surrogateescape"))
        return f"{self.path} {digest.hexdigest()}"

    def read(self, build: BuildContext) -> ImageData:
        """Decode the files by the rules of this module; see `Source.read`."""
        names = tuple(self._parts[TRAIN])
        files, labels = _flat(self._parts[TRAIN])
        if TEST in self._parts:
            test_files, test_labels = _flat(self._parts[TEST])
        else:
            parts = hold_out_test(labels)
            test_files = [files[index] for index in parts.validation]
            files = [files[index] for index in parts.train]
            labels, test_labels = labels[parts.train], labels[parts.validation]
        images = _read_with_common_shape([*files, *test_files], build)
        train, test = np.split(images, [len(files)])
        return ImageData(self.dataset, names, train, labels, test, test_labels)

    @cached_property
    def _parts(self) -> dict[str, Classes]:
        """Files of each class of `train` and, if present, `test`."""
        if not self.path.is_dir():
            found = "is a file" if self.path.exists() else "does not exist"
            raise DataError(
                f"the image folder {self.path} {found}; pass --dataset folder:PATH with a "
                "directory that contains images in train/<class>/ and test/<class>/, or in <class>/"
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
                f"use --dataset folder:{train} to hold out a fifth of it as the test set"
            )
        classes = _list_classes(self.path)
        _check_counts(self.path, classes, SMALLEST_CLASS_TO_SPLIT)
        return {TRAIN: classes}


def _list_classes(folder: Path) -> Classes:
    names = _subfolders(folder)
    if not names:
        raise DataError(
            f"{folder} contains no class directories; put the images of each class in one"
        )
    classes = {name: list(_images(folder / name)) for name in names}
    if not any(classes.values()):
        raise DataError(f"{folder} contains no images; they must end in {', '.join(EXTENSIONS)}")
    if len(classes) == 1:
        raise DataError(
            f"{folder} contains only one class, '{names[0]}'; a classifier needs at least two"
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
        f"'{name}' is only in {part}/"
        for part, other in ((TRAIN, TEST), (TEST, TRAIN))
        for name in parts[part]
        if name not in parts[other]
    ]
    if differing:
        raise DataError(
            f"{folder}: {TRAIN}/ and {TEST}/ must contain the same classes, but "
            f"{', '.join(differing[:5])}{' …' if len(differing) > 5 else ''}"
        )
    for name, files in parts[TEST].items():
        if not files:
            raise DataError(f"class '{name}' in {folder / TEST} has no images; add some")


def _check_counts(folder: Path, classes: Classes, least: int) -> None:
    for name, files in classes.items():
        if len(files) < least:
            raise DataError(
                f"class '{name}' in {folder} has {len(files)} images and needs at least {least} "
                "for training, validation and test; add images or remove it"
            )


def _flat(classes: Classes) -> tuple[list[Path], Labels]:
    files = [Path(file.path) for members in classes.values() for file in members]
    sizes = [len(members) for members in classes.values()]
    return files, np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)


def _read_with_common_shape(files: list[Path], build: BuildContext) -> Images:
    # Opening a small image costs as much as decoding it. So decode once with the shape of the first
    # image, and again only if that is not the common shape.
    shape = _common_shape(files[:1], [read_header(files[0])])
    build.check_space(len(files) * prod(shape))
    images, headers = read_images(files, shape, "decoding images", build.progress)
    common = _common_shape(files, headers)
    if common != shape:
        build.check_space(len(files) * prod(common))
        images, _ = read_images(
            files, common, "decoding images with their common size", build.progress
        )
    return images


def _common_shape(files: list[Path], headers: list[Header]) -> tuple[int, int, int]:
    for file, header in zip(files, headers, strict=True):
        if min(header.width, header.height) < SMALLEST_SIDE:
            raise DataError(
                f"{file} is {header.width}×{header.height} pixels; images need at least "
                f"{SMALLEST_SIDE} per side: remove it or enlarge it"
            )
    sides = Counter(min(header.width, header.height, LARGEST_SIDE) for header in headers)
    side = max(sides, key=lambda size: (sides[size], size))
    return (1 if all(header.grey for header in headers) else 3), side, side
