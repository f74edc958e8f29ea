"""Types shared by the data package: images, labels, progress, sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tune_ode.config.data import WHITE

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Progress = Callable[[str, float], None]
"""Called with the current operation and its finished fraction in [0, 1]."""

SMALLEST_SIDE = 8
LARGEST_SIDE = 64
"""Pixels per side of the square images that the classifier accepts."""

Depth = Literal["8-bit", "16-bit", "32-bit", "floating-point"]
"""How pixels are stored in a file."""


class Levels(NamedTuple):
    """The range of pixels of more than 8 bits, which is scaled to black … white."""

    depth: Depth
    black: float
    white: float


@dataclass(frozen=True)
class Decoding:
    """How image files become pixels: the same in training and prediction."""

    background: str = WHITE
    """As in `DataConfig.background`."""
    levels: Levels | None = None
    """None: images have 8 bits, or 16 bits that are scaled by their type."""


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set of square images, with a training and a test set.

    `load` returns memory-mapped read-only arrays, shared by all processes of a node. Two data sets
    are equal only if they are the same object.
    """

    name: str
    """As in `DataConfig.dataset`."""
    class_names: tuple[str, ...]
    """In the order of the labels."""
    train_images: Images
    """uint8 (N, C, H, W), C 1 or 3, H = W from 8 to 64."""
    train_labels: Labels
    """int64 (N,) in [0, classes)."""
    test_images: Images
    test_labels: Labels
    train_hashes: Hashes = field(default_factory=lambda: np.zeros(0, np.uint64))
    """uint64 (N,), hashes of the pixels of each image; the cache adds them."""
    test_hashes: Hashes = field(default_factory=lambda: np.zeros(0, np.uint64))
    levels: Levels | None = None
    """As in `Decoding`, measured on the training images."""
    notes: tuple[str, ...] = ()
    """Files that were passed over, one sentence each."""
    train_files: tuple[str, ...] = ()
    """Paths of the images relative to the data set; empty if they are not files."""
    test_files: tuple[str, ...] = ()
    train_groups: Labels | None = None
    """int64 (N,), number of the group of each training image, if `DataConfig.groups` is set."""
    given_validation: int = 0
    """Number of images at the end of the training images that are meant for validation."""

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
class BuildContext:
    """Callbacks for a source while it reads images for the cache."""

    progress: Progress
    check_space: Callable[[int], None]
    """Raises `DataError` if the cache has no space for a number of bytes; call it early."""


class Source(Protocol):
    """A data set that can be read."""

    def identity(self) -> str:
        """Return a string that changes whenever the cached images would; part of the cache key.

        Raises:
            DataError: the data are missing.
        """

    def read(self, build: BuildContext) -> ImageData:
        """Read the images into memory, after downloading them if necessary.

        Raises:
            DataError: missing, unreadable or invalid data; names the file and the remedy.
        """
