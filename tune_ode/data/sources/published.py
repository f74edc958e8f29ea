"""Data sets that torchvision reads: MNIST, Fashion-MNIST, CIFAR-10 and -100, SVHN.

URLs, checksums and file formats are those of torchvision. It verifies the MD5 of the files of CIFAR
(which are pickles) and SVHN at every read; those of MNIST are verified when they are unpacked.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tune_ode.data.images import BuildContext, ImageData, Images, Labels
from tune_ode.data.sources.download import Archive, provide
from tune_ode.errors import DataError

DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Format:
    """How to download and read one family of torchvision's data set classes."""

    needed: Callable[[Any], Sequence[str]]
    """Class → files required for reading, relative to the data directory."""
    archives: Callable[[Any], Sequence[Archive]]
    """Class → archives that contain them."""
    arrays: Callable[[Any], tuple[Images, Labels]]
    """Data set → images and labels."""
    split_argument: str = "train"
    """Argument of the class that selects the training or the test set."""


@dataclass(frozen=True)
class Published:
    """A source that torchvision reads."""

    dataset: str
    torchvision_class: str
    format: Format
    data_dir: Path
    class_names: tuple[str, ...] | None = None
    """None: those of torchvision."""

    def identity(self) -> str:
        """Return name and data directory: published files do not change."""
        return f"{self.dataset} {self.data_dir}"

    def read(self, build: BuildContext) -> ImageData:
        """Read with torchvision, after downloading missing files; see `Source.read`."""
        from torchvision import datasets

        cls = getattr(datasets, self.torchvision_class)
        needed = self.format.needed(cls)
        provide(self.dataset, needed, self.format.archives(cls), self.data_dir, build.progress)
        build.progress(f"reading {self.dataset}", 0.0)
        argument = self.format.split_argument
        values = (True, False) if argument == "train" else ("train", "test")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # NumPy warns about the age of CIFAR's pickles
                train, test = (cls(self.data_dir, **{argument: value}) for value in values)
            parts = [self.format.arrays(part) for part in (train, test)]
            for images, labels in parts:
                if len(images) != len(labels):
                    raise ValueError(f"{len(images)} images but {len(labels)} labels")
        except Exception as error:  # readers raise many types for damaged files
            raise DataError(
                f"the files of {self.dataset} under {self.data_dir} are damaged ({error}); remove "
                f"{', '.join(needed)} to unpack or download them again"
            ) from error
        return ImageData(
            self.dataset, self.class_names or tuple(train.classes), *parts[0], *parts[1]
        )


def _idx_files(cls: Any) -> list[tuple[str, str]]:
    return [(f"{cls.__name__}/raw/{name}", md5) for name, md5 in cls.resources]


IDX = Format(
    needed=lambda cls: [path.removesuffix(".gz") for path, _ in _idx_files(cls)],
    archives=lambda cls: [
        Archive(path, md5, tuple(mirror + Path(path).name for mirror in cls.mirrors))
        for path, md5 in _idx_files(cls)
    ],
    arrays=lambda part: (part.data.numpy()[:, None], part.targets.numpy()),
)
CIFAR = Format(
    needed=lambda cls: [
        f"{cls.base_folder}/{name}"
        for name in [*(name for name, _ in cls.train_list + cls.test_list), cls.meta["filename"]]
    ],
    archives=lambda cls: [Archive(cls.filename, cls.tgz_md5, (cls.url,))],
    arrays=lambda part: (
        part.data.transpose(0, 3, 1, 2),
        np.asarray(part.targets, dtype=np.int64),
    ),
)
SVHN = Format(
    needed=lambda cls: [cls.split_list[part][1] for part in ("train", "test")],
    archives=lambda cls: [
        Archive(path, md5, (url,))
        for url, path, md5 in (cls.split_list[part] for part in ("train", "test"))
    ],
    arrays=lambda part: (part.data, part.labels),
    split_argument="split",
)
