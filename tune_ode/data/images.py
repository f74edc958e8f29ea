"""What the data room passes around: images as uint8 arrays with their labels and class names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it done, in [0, 1]."""

SMALLEST_SIDE = 8
LARGEST_SIDE = 64
"""Pixels a side of the square images the classifier takes."""


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set of square images, split into training and test set by its makers or by a rule.

    As `load` returns it the arrays are memory-mapped and read-only, shared by all processes of a
    node. Two of them are equal only if they are the same object.
    """

    name: str
    """As in `DataConfig.dataset`."""
    class_names: tuple[str, ...]
    """In the order of the labels."""
    train_images: Images
    """uint8 (N, C, H, W), C 1 or 3, H = W from 8 to 64."""
    train_labels: Labels
    """int64 (N,), from 0 to classes - 1."""
    test_images: Images
    test_labels: Labels

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        _, channels, height, width = self.train_images.shape
        return channels, height, width

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


@dataclass(frozen=True)
class Build:
    """What a source is handed when its images are to be read for the cache."""

    progress: Progress
    check_room: Callable[[int], None]
    """Raises `DataError` if the cache has no room for that many bytes; to ask before long work."""


class Source(Protocol):
    """A data set that can be read."""

    def identity(self) -> str:
        """Return what the cached images depend on; another identity means another cache.

        Raises:
            DataError: the data cannot be told apart because they are not there.
        """

    def read(self, build: Build) -> ImageData:
        """Read the images into memory, downloading them where that is needed and can be done.

        Raises:
            DataError: missing, unreadable or unfit data; says what and where, and the remedy.
        """
