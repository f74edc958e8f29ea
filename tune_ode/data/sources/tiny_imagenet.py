"""Tiny ImageNet (Stanford CS231n): 200 classes, 64×64, 500 training and 50 validation images each.

torchvision has no reader for it. Layout of `tiny-imagenet-200.zip`:

    tiny-imagenet-200/
      wnids.txt                    the 200 class ids, one per line
      words.txt                    id, tab, names (all of WordNet)
      train/<id>/images/*.JPEG
      val/images/*.JPEG
      val/val_annotations.txt      file, tab, id, tab, bounding box

The labels of the test images are not published; as usual, `val` is the test set.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from tune_ode.data.images import BuildContext, ImageData, Labels
from tune_ode.data.sources.decode import VERSION
from tune_ode.data.sources.download import Archive, provide
from tune_ode.data.sources.read import read_all
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
        """Return name, data directory and decoder: published files do not change."""
        return f"{self.dataset} {self.data_dir} {VERSION}"

    def read(self, build: BuildContext) -> ImageData:
        """Decode the published files, after downloading missing ones; see `Source.read`."""
        needed = [f"{FOLDER}/{name}" for name in (CLASS_LIST, WORDS, ANNOTATIONS)]
        provide(self.dataset, needed, [ARCHIVE], self.data_dir, build.progress)
        ids = sorted(self._lines(CLASS_LIST))
        files, labels = self._training_files(ids)
        test_files, test_labels = self._test_files(ids)
        build.check_space((len(files) + len(test_files)) * prod(SHAPE))
        train, _ = read_all(
            files, SHAPE, operation="decoding training images", progress=build.progress
        )
        test, _ = read_all(
            test_files, SHAPE, operation="decoding test images", progress=build.progress
        )
        return ImageData(self.dataset, self._names(ids), train, labels, test, test_labels)

    @property
    def _root(self) -> Path:
        return self.data_dir / FOLDER

    def _training_files(self, ids: list[str]) -> tuple[list[Path], Labels]:
        folders = [sorted((self._root / "train" / name / "images").glob("*.JPEG")) for name in ids]
        sizes = [len(files) for files in folders]
        labels = np.repeat(np.arange(len(ids), dtype=np.int64), sizes)
        self._check_complete("train", labels, ids)
        return [file for files in folders for file in files], labels

    def _test_files(self, ids: list[str]) -> tuple[list[Path], Labels]:
        label_of = {class_id: label for label, class_id in enumerate(ids)}
        rows = [[*line.split("\t"), ""][:2] for line in self._lines(ANNOTATIONS)]
        for name, class_id in rows:
            if class_id not in label_of:
                raise self._damaged(
                    f"{ANNOTATIONS} has the unknown class '{class_id}' for '{name}'"
                )
        labels = np.asarray([label_of[class_id] for _, class_id in rows], dtype=np.int64)
        self._check_complete(ANNOTATIONS, labels, ids)
        return [self._root / "val" / "images" / name for name, _ in rows], labels

    def _check_complete(self, part: str, labels: Labels, ids: list[str]) -> None:
        """Check that all classes have the same size, unlike after an interrupted unzip."""
        counts = np.bincount(labels, minlength=len(ids))
        if len(ids) == 0 or counts.min() < counts.max() or counts.max() == 0:
            found = f"{counts.min()} to {counts.max()} images per class" if ids else "no classes"
            raise self._damaged(f"{part} has {found}, but all classes must have the same number")

    def _names(self, ids: list[str]) -> tuple[str, ...]:
        names = dict(line.split("\t", 1) for line in self._lines(WORDS) if "\t" in line)
        return tuple(names.get(class_id, class_id).split(",")[0] for class_id in ids)

    def _lines(self, name: str) -> list[str]:
        try:
            return (self._root / name).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeError) as error:
            raise self._damaged(f"{name} cannot be read ({error})") from error

    def _damaged(self, what: str) -> DataError:
        return DataError(
            f"{self._root} is incomplete: {what}; remove the directory to unpack or download "
            f"{ARCHIVE.path} again"
        )
