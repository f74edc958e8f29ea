"""Image folders: PATH/<class>/…, or PATH/train/<class>/…, PATH/valid/… and PATH/test/….

Rules:

- A class is a directory with images, also in subdirectories. Hidden files and files without an
  image extension are passed over, and counted.
- Without `test/`, the test set is a fixed stratified fifth of the training images.
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
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tune_ode.config.data import WHITE
from tune_ode.data.images import BuildContext, ImageData, Images, Labels
from tune_ode.data.pixels import is_constant
from tune_ode.data.sources.alike import read_alike
from tune_ode.data.sources.decode import VERSION
from tune_ode.data.sources.listing import (
    HIDDEN,
    TEST,
    TRAIN,
    VALID,
    Classes,
    Listing,
    counted,
    list_images,
)
from tune_ode.data.sources.read import list_problems, unusable
from tune_ode.data.splits import group_ids, hold_out_test
from tune_ode.errors import DataError

LabelledFiles = tuple[list[Path], Labels]


@dataclass(frozen=True)
class Folder:
    """The source `folder:PATH`."""

    dataset: str
    path: Path
    background: str = WHITE
    skip_broken: bool = False

    groups: str | None = None
    """As in `DataConfig.groups`; used for a test set that is held out."""

    def identity(self) -> str:
        """Return a hash of every file's path, size and modification time, and how it is decoded."""
        digest = hashlib.sha256(f"{VERSION} {self.background} {self.skip_broken}".encode())
        listing = self._listing
        for part, classes in listing.parts.items():
            for name, files in classes.items():
                for file in files:
                    digest.update(repr((part, name, *file)).encode("utf-8", "surrogateescape"))
        # hidden files come and go, and only their number would be out of date
        kinds = sorted(item for item in listing.passed_over.items() if item[0] != HIDDEN)
        digest.update(repr((kinds, listing.notes)).encode("utf-8", "surrogateescape"))
        if self.groups is not None and TEST not in listing.parts:
            digest.update(self._group_ids(_flat(listing.parts[TRAIN])[0]).tobytes())
        return f"{self.path} {digest.hexdigest()}"

    def read(self, build: BuildContext) -> ImageData:
        """Decode the files by the rules of this module; see `Source.read`."""
        listing = self._listing
        skipped: dict[Path, str] = {}
        while True:
            train, valid, test = self._arrange(listing)
            files = [*train[0], *valid[0], *test[0]]
            training = len(files) - len(test[0])
            images, levels, problems = read_alike(files, training, self.background, build)
            if not problems:
                break
            if not self.skip_broken:
                raise unusable(
                    problems, len(files), ", or leave them out of a new run with --skip-broken"
                )
            skipped |= problems
            listing = listing.without(problems)
        names = tuple(listing.parts[TRAIN])
        labels = np.concatenate([train[1], valid[1]])
        train_images, test_images = np.split(images, [training])
        self._check_content(names, train_images, labels, test_images)
        notes = list(listing.notes)
        if listing.passed_over:
            notes.append(f"passed over: {counted(listing.passed_over)}")
        if skipped:
            notes.append(f"left out: {list_problems(skipped, len(files) + len(skipped))}")
        relative = [listing.relative(file) for file in files]
        return ImageData(
            self.dataset,
            names,
            train_images,
            labels,
            test_images,
            test[1],
            levels=levels,
            notes=tuple(notes),
            train_files=tuple(relative[:training]),
            test_files=tuple(relative[training:]),
            given_validation=len(valid[0]),
        )

    @cached_property
    def _listing(self) -> Listing:
        try:
            if not os.path.isdir(self.path):
                found = "is a file" if os.path.exists(self.path) else "does not exist"
                raise DataError(
                    f"the image folder {self.path} {found}; pass --dataset folder:PATH with a "
                    "directory that contains images in train/<class>/ and test/<class>/, or in "
                    "<class>/"
                )
            return list_images(self.path)
        except OSError as error:
            raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error

    def _arrange(self, listing: Listing) -> tuple[LabelledFiles, LabelledFiles, LabelledFiles]:
        """Return the files and labels for training, validation and test."""
        train, valid, test = (_flat(listing.parts.get(part, {})) for part in (TRAIN, VALID, TEST))
        if TEST in listing.parts:
            return train, valid, test
        files, labels = train
        groups = None if self.groups is None else self._group_ids(files)
        parts = hold_out_test(labels, groups, tuple(listing.parts[TRAIN]))
        train, test = (
            ([files[index] for index in part], labels[part])
            for part in (parts.train, parts.validation)
        )
        return train, valid, test

    def _group_ids(self, files: Sequence[Path]) -> Labels:
        assert self.groups is not None
        names = [self._listing.relative(file) for file in files]
        return group_ids(names, self.groups, self.dataset)

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


def _flat(classes: Classes) -> LabelledFiles:
    files = [Path(file.path) for members in classes.values() for file in members]
    sizes = [len(members) for members in classes.values()]
    return files, np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
