"""Tiny ImageNet (Stanford CS231n): 200 classes, 64×64, 500 training and 50 validation images each.

torchvision has no reader for it. Layout, as published in `tiny-imagenet-200.zip`:

    tiny-imagenet-200/
      wnids.txt                    the 200 class ids, one a line
      words.txt                    id, tab, names (of all of WordNet)
      train/<id>/images/*.JPEG
      val/images/*.JPEG
      val/val_annotations.txt      file, tab, id, tab, a box

The labels of its test images were never published: as is usual, `val` is the test set.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from tune_ode.data.images import Build, ImageData, Labels
from tune_ode.data.sources.decode import read_images
from tune_ode.data.sources.download import Archive, provide
from tune_ode.errors import DataError

FOLDER = "tiny-imagenet-200"
ARCHIVE = Archive(
    f"{FOLDER}.zip",
    "90528d7ca1a48142e341f4ef8d21d0de",
    (f"http://cs231n.stanford.edu/{FOLDER}.zip",),
)
CLASS_LIST, WORDS, ANNOTATIONS = "wnids.txt", "words.txt", "val/val_annotations.txt"
SHAPE = (3, 64, 64)


@dataclass(frozen=True)
class TinyImageNet:
    """The source `tiny-imagenet`."""

    dataset: str
    data_dir: Path

    def identity(self) -> str:
        """Name and data folder: the files are published and don't change."""
        return f"{self.dataset} {self.data_dir}"

    def read(self, build: Build) -> ImageData:
        """Decode the published tree, after a download where it is missing; see `Source.read`."""
        needed = [f"{FOLDER}/{name}" for name in (CLASS_LIST, WORDS, ANNOTATIONS)]
        provide(self.dataset, needed, [ARCHIVE], self.data_dir, build.progress)
        ids = sorted(self._lines(CLASS_LIST))
        files, labels = self._training_files(ids)
        test_files, test_labels = self._test_files(ids)
        build.check_room((len(files) + len(test_files)) * prod(SHAPE))
        train, _ = read_images(files, SHAPE, "decoding training images", build.progress)
        test, _ = read_images(test_files, SHAPE, "decoding test images", build.progress)
        return ImageData(self.dataset, self._names(ids), train, labels, test, test_labels)

    @property
    def _root(self) -> Path:
        return self.data_dir / FOLDER

    def _training_files(self, ids: list[str]) -> tuple[list[Path], Labels]:
        folders = [sorted((self._root / "train" / each / "images").glob("*.JPEG")) for each in ids]
        sizes = [len(files) for files in folders]
        labels = np.repeat(np.arange(len(ids), dtype=np.int64), sizes)
        self._check_whole("train", labels, ids)
        return [file for files in folders for file in files], labels

    def _test_files(self, ids: list[str]) -> tuple[list[Path], Labels]:
        label_of = {each: label for label, each in enumerate(ids)}
        rows = [[*line.split("\t"), ""][:2] for line in self._lines(ANNOTATIONS)]
        for name, each in rows:
            if each not in label_of:
                raise self._damaged(f"{ANNOTATIONS} gives '{name}' the unknown class '{each}'")
        labels = np.asarray([label_of[each] for _, each in rows], dtype=np.int64)
        self._check_whole(ANNOTATIONS, labels, ids)
        return [self._root / "val" / "images" / name for name, _ in rows], labels

    def _check_whole(self, part: str, labels: Labels, ids: list[str]) -> None:
        """See that all classes are equally large, as published: an interrupted unzip is not."""
        counts = np.bincount(labels, minlength=len(ids))
        if len(ids) == 0 or counts.min() < counts.max() or counts.max() == 0:
            found = f"{counts.min()} to {counts.max()} images a class" if ids else "no classes"
            raise self._damaged(f"{part} has {found}, and should have equally many of each")

    def _names(self, ids: list[str]) -> tuple[str, ...]:
        words = dict(line.split("\t", 1) for line in self._lines(WORDS) if "\t" in line)
        return tuple(words.get(each, each).split(",")[0] for each in ids)

    def _lines(self, name: str) -> list[str]:
        try:
            return (self._root / name).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeError) as error:
            raise self._damaged(f"{name} cannot be read ({error})") from error

    def _damaged(self, what: str) -> DataError:
        return DataError(
            f"{self._root} is not whole: {what}; remove the folder to have {ARCHIVE.path} unpacked "
            "or downloaded anew"
        )
