"""Image folders: PATH/train/<class>/… and PATH/test/<class>/…, or PATH/<class>/….

Rules:

- A class is a directory with images, also in subdirectories. Hidden files and files without an
  image extension are passed over, and counted.
- Without `train/` and `test/`, the test set is a fixed stratified fifth of the images.
- Images are grey (one channel) if every file is stored as grey, else color.
- If all files have more than 8 bits and the same type, the range of the training images is scaled
  to 8 bits. Otherwise 16-bit images are scaled by their type, and wider ones refused.
- Images become squares with the most common shorter side (the largest one if tied), at most 64
  pixels: the shorter side is resized to it, then the center is cropped.
- Every side must have at least 8 pixels; a class must have an image that is not of one color.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tune_ode.config.data import WHITE
from tune_ode.data.images import BuildContext, ImageData, Images, Labels
from tune_ode.data.pixels import is_constant
from tune_ode.data.sources.alike import read_alike
from tune_ode.data.sources.decode import VERSION, extensions
from tune_ode.data.sources.read import list_problems, unusable
from tune_ode.data.splits import SMALLEST_CLASS_TO_SPLIT, hold_out_test
from tune_ode.errors import DataError

TRAIN, TEST = "train", "test"
HIDDEN = "hidden"
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
    background: str = WHITE
    skip_broken: bool = False

    def identity(self) -> str:
        """Return a hash of every file's path, size and modification time, and how it is decoded."""
        digest = hashlib.sha256(f"{VERSION} {self.background} {self.skip_broken}".encode())
        for part, classes in self._parts.items():
            for name, files in classes.items():
                for file in files:
                    digest.update(repr((part, name, *file)).encode("utf-8", "surrogateescape"))
        # hidden files come and go, and only their number would be out of date
        others = sorted((kind, count) for kind, count in self._others.items() if kind != HIDDEN)
        digest.update(repr(others).encode("utf-8", "surrogateescape"))
        return f"{self.path} {digest.hexdigest()}"

    def read(self, build: BuildContext) -> ImageData:
        """Decode the files by the rules of this module; see `Source.read`."""
        parts = self._parts
        skipped: dict[Path, str] = {}
        while True:
            files, labels, test_files, test_labels = _arrange(parts)
            every = [*files, *test_files]
            images, levels, problems = read_alike(every, len(files), self.background, build)
            if not problems:
                break
            if not self.skip_broken:
                raise unusable(
                    problems, len(every), ", or leave them out of a new run with --skip-broken"
                )
            skipped |= problems
            parts = _without(parts, problems)
            self._check_counts(parts)
        train, test = np.split(images, [len(files)])
        names = tuple(parts[TRAIN])
        self._check_content(names, train, labels, test)
        notes = [f"passed over: {_counted(self._others)}"] if self._others else []
        if skipped:
            notes.append(f"left out: {list_problems(skipped, len(every) + len(skipped))}")
        return ImageData(
            self.dataset,
            names,
            train,
            labels,
            test,
            test_labels,
            levels=levels,
            notes=tuple(notes),
        )

    @cached_property
    def _others(self) -> Counter[str]:
        """Number of files that are passed over, by kind; counted by `_parts`."""
        return Counter()

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
            parts = {part: self._list_classes(self.path / part) for part in (TRAIN, TEST)}
            _check_same_classes(self.path, parts)
        elif train.is_dir() and _subfolders(train):
            raise DataError(
                f"{self.path} has {TRAIN}/ but no {TEST}/; add {TEST}/ with the same classes, or "
                f"use --dataset folder:{train} to hold out a fifth of it as the test set"
            )
        else:
            parts = {TRAIN: self._list_classes(self.path)}
        self._check_counts(parts)
        return parts

    def _list_classes(self, folder: Path) -> Classes:
        names = _subfolders(folder)
        if not names:
            raise DataError(
                f"{folder} contains no class directories; put the images of each class in one"
            )
        readable = extensions()
        classes = {name: list(_images(folder / name, readable, self._others)) for name in names}
        if not any(classes.values()):
            found = f", found {_counted(self._others)}" if self._others else ""
            raise DataError(
                f"{folder} contains no images; they must end in .jpg, .png, .webp or another "
                f"extension of a format that Pillow reads{found}"
            )
        if len(classes) == 1:
            raise DataError(
                f"{folder} contains only one class, '{names[0]}'; a classifier needs at least two"
            )
        with os.scandir(folder) as entries:
            outside = [entry for entry in entries if Path(entry).suffix.lower() in readable]
        if outside:
            self._others["in no class directory"] += len(outside)
        return classes

    def _check_counts(self, parts: dict[str, Classes]) -> None:
        least = SMALLEST_TRAINING_CLASS if TEST in parts else SMALLEST_CLASS_TO_SPLIT
        for name, files in parts[TRAIN].items():
            if len(files) < least:
                raise DataError(
                    f"class '{name}' in {self._folder(TRAIN, parts)} has {len(files)} images and "
                    f"needs at least {least} for training, validation and test; add images or "
                    "remove it"
                )
        for name, files in parts.get(TEST, {}).items():
            if not files:
                raise DataError(
                    f"class '{name}' in {self._folder(TEST, parts)} has no images; add some"
                )

    def _folder(self, part: str, parts: dict[str, Classes]) -> Path:
        return self.path / part if TEST in parts else self.path

    def _check_content(
        self, names: tuple[str, ...], train: Images, labels: Labels, test: Images
    ) -> None:
        """Reject classes without content, such as black drawings on a black background."""
        constant = is_constant(train)
        for what, mask in {
            f"the images of '{self.dataset}'": constant,
            f"the test images of '{self.dataset}'": is_constant(test),
            **{
                f"the images of class '{name}' of '{self.dataset}'": constant[labels == label]
                for label, name in enumerate(names)
            },
        }.items():
            if mask.all():
                raise DataError(
                    f"{what} have no content: all pixels of an image have the same color; check "
                    "the files, and if they are transparent give a new run another background: "
                    "--fix data.background=gray"
                )


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not _hidden(entry))


def _images(folder: Path, readable: frozenset[str], others: Counter[str]) -> Iterator[File]:
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        suffix = Path(entry.name).suffix.lower()
        if _hidden(entry):
            others[HIDDEN] += 1
        elif entry.is_dir():
            yield from _images(Path(entry.path), readable, others)
        elif suffix in readable:
            status = entry.stat()
            yield File(entry.path, status.st_size, status.st_mtime_ns)
        else:
            others[suffix or "without an extension"] += 1


def _hidden(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(".")


def _counted(others: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in others.most_common())


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


def _without(parts: dict[str, Classes], problems: Container[Path]) -> dict[str, Classes]:
    return {
        part: {
            name: [file for file in files if Path(file.path) not in problems]
            for name, files in classes.items()
        }
        for part, classes in parts.items()
    }


def _arrange(parts: dict[str, Classes]) -> tuple[list[Path], Labels, list[Path], Labels]:
    """Return files and labels for training and test."""
    files, labels = _flat(parts[TRAIN])
    if TEST in parts:
        return files, labels, *_flat(parts[TEST])
    held_out = hold_out_test(labels)
    train, test = held_out.train, held_out.validation
    return [files[i] for i in train], labels[train], [files[i] for i in test], labels[test]


def _flat(classes: Classes) -> tuple[list[Path], Labels]:
    files = [Path(file.path) for members in classes.values() for file in members]
    sizes = [len(members) for members in classes.values()]
    return files, np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
