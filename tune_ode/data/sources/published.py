"""The published data sets that torchvision reads: MNIST, Fashion-MNIST, CIFAR-10 and -100, SVHN.

Addresses and checksums are torchvision's own, and so are the file formats' readers; it checks
CIFAR's and SVHN's files against their MD5 whenever it reads them, which it must, as CIFAR's are
pickles. MNIST's are checked when they are unpacked.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tune_ode.data.images import Build, ImageData, Images, Labels
from tune_ode.data.sources.download import Archive, provide
from tune_ode.errors import DataError

Part = tuple[Images, Labels]
DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Format:
    """How one family of torchvision's classes is published and read."""

    needed: Callable[[Any], Sequence[str]]
    """Given the class: the files that reading takes, relative to the data folder."""
    archives: Callable[[Any], Sequence[Archive]]
    """Given the class: what they come from."""
    read: Callable[[Any, Path], tuple[Part, Part, Sequence[str]]]
    """Given class and data folder: training part, test part, class names."""


@dataclass(frozen=True)
class Published:
    """A source that torchvision reads."""

    dataset: str
    torchvision_class: str
    format: Format
    data_dir: Path
    class_names: tuple[str, ...] | None = None
    """None: those that torchvision gives."""

    def identity(self) -> str:
        """Name and data folder: the files are published and don't change."""
        return f"{self.dataset} {self.data_dir}"

    def read(self, build: Build) -> ImageData:
        """Read with torchvision, after a download where files are missing; see `Source.read`."""
        from torchvision import datasets

        kind = getattr(datasets, self.torchvision_class)
        needed = self.format.needed(kind)
        provide(self.dataset, needed, self.format.archives(kind), self.data_dir, build.progress)
        build.progress(f"reading {self.dataset}", 0.0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # NumPy's, about the age of CIFAR's pickles
                train, test, names = self.format.read(kind, self.data_dir)
            for images, labels in (train, test):
                if len(images) != len(labels):
                    raise ValueError(f"{len(images)} images but {len(labels)} labels")
        except Exception as error:  # a reader trips over a damaged file in any way
            raise DataError(
                f"the files of {self.dataset} under {self.data_dir} are damaged ({error}); remove "
                f"{', '.join(needed)} to have them unpacked or downloaded anew"
            ) from error
        return ImageData(self.dataset, self.class_names or tuple(names), *train, *test)


def _idx_files(kind: Any) -> list[tuple[str, str]]:
    return [(f"{kind.__name__}/raw/{name}", md5) for name, md5 in kind.resources]


def _read_idx(kind: Any, root: Path) -> tuple[Part, Part, Sequence[str]]:
    train, test = kind(root, train=True), kind(root, train=False)
    return _idx_part(train), _idx_part(test), kind.classes


def _idx_part(part: Any) -> Part:
    return part.data.numpy()[:, None], part.targets.numpy()


def _read_cifar(kind: Any, root: Path) -> tuple[Part, Part, Sequence[str]]:
    train, test = kind(root, train=True), kind(root, train=False)
    return _cifar_part(train), _cifar_part(test), train.classes


def _cifar_part(part: Any) -> Part:
    return part.data.transpose(0, 3, 1, 2), np.asarray(part.targets, dtype=np.int64)


def _read_svhn(kind: Any, root: Path) -> tuple[Part, Part, Sequence[str]]:
    train, test = kind(root, split="train"), kind(root, split="test")
    return (train.data, train.labels), (test.data, test.labels), DIGITS


IDX = Format(
    needed=lambda kind: [path.removesuffix(".gz") for path, _ in _idx_files(kind)],
    archives=lambda kind: [
        Archive(path, md5, tuple(mirror + Path(path).name for mirror in kind.mirrors))
        for path, md5 in _idx_files(kind)
    ],
    read=_read_idx,
)
CIFAR = Format(
    needed=lambda kind: [
        f"{kind.base_folder}/{name}"
        for name in [*(name for name, _ in kind.train_list + kind.test_list), kind.meta["filename"]]
    ],
    archives=lambda kind: [Archive(kind.filename, kind.tgz_md5, (kind.url,))],
    read=_read_cifar,
)
SVHN = Format(
    needed=lambda kind: [kind.split_list[part][1] for part in ("train", "test")],
    archives=lambda kind: [
        Archive(path, md5, (url,))
        for url, path, md5 in (kind.split_list[part] for part in ("train", "test"))
    ],
    read=_read_svhn,
)
