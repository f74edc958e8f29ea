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
        ids = sorted((self._root / CLASS_LIST).read_text().split())
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
        sizes = {len(files) for files in folders}
        if len(sizes) != 1 or 0 in sizes:
            fewest = min(range(len(ids)), key=lambda place: len(folders[place]))
            raise self._incomplete(
                f"train/{ids[fewest]}/images has {len(folders[fewest])} images, fewer than others"
            )
        labels = np.repeat(np.arange(len(ids), dtype=np.int64), sizes.pop())
        return [file for files in folders for file in files], labels

    def _test_files(self, ids: list[str]) -> tuple[list[Path], Labels]:
        label_of = {each: label for label, each in enumerate(ids)}
        files, labels = [], []
        for line in (self._root / ANNOTATIONS).read_text().splitlines():
            name, each, *_ = [*line.split("\t"), ""]
            file = self._root / "val" / "images" / name
            if each not in label_of or not file.is_file():
                raise self._incomplete(f"{ANNOTATIONS} names '{name}' of class '{each}'")
            files.append(file)
            labels.append(label_of[each])
        return files, np.asarray(labels, dtype=np.int64)

    def _names(self, ids: list[str]) -> tuple[str, ...]:
        lines = (self._root / WORDS).read_text().splitlines()
        words = dict(line.split("\t", 1) for line in lines if "\t" in line)
        return tuple(words.get(each, each).split(",")[0] for each in ids)

    def _incomplete(self, what: str) -> DataError:
        return DataError(
            f"{self._root} is not whole: {what}, which is not all there; remove the folder to have "
            f"{ARCHIVE.path} unpacked or downloaded anew"
        )
