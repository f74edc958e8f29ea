"""Batches of images that are on the training device: no loader, no worker processes.

Random numbers depend on (seed, epoch, batch) only, without state, so an epoch can be resumed at any
batch.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from tune_ode.config import AugmentationConfig
from tune_ode.data.augmentation import augment
from tune_ode.data.pixels import PixelStatistics
from tune_ode.data.randomness import Stream, permutation, torch_seed

EVALUATION_BATCH = 512
"""Maximum number of images per batch: enough to utilize a device."""

Batch = tuple[Tensor, Tensor]
"""Images float32 (B, C, H, W), normalized; labels int64 (B,)."""


class TrainBatches:
    """The training images in random order, augmented and normalized, in batches of equal size.

    Args:
        images: uint8 (N, C, H, W) on the training device.
        labels: int64 (N,), likewise.
        batch_size: images per batch, reduced to N if larger. Each epoch drops the images that do
            not fill a batch, which differ between epochs.
        seed: seed of order and augmentation.
        statistics: mean and standard deviation for normalization.
        augmentation: random transforms.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        batch_size: int,
        seed: int,
        statistics: PixelStatistics,
        augmentation: AugmentationConfig,
    ) -> None:
        self.batch_size = min(batch_size, len(images))
        self._images, self._labels = images, labels
        self._seed, self._augmentation = seed, augmentation
        self._augmented = augmentation != AugmentationConfig()
        self._normalize = Normalize(statistics, images.device)

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        return len(self._images) // self.batch_size

    def epoch(self, number: int, first_batch: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, which depend on the seed and the epoch only.

        Args:
            number: number of the epoch, from 0.
            first_batch: number of the batch to start with, from 0.
        """
        device = self._images.device
        order = permutation(len(self._images), self._seed, Stream.ORDER, number)
        indices = torch.from_numpy(order).to(device)
        generator = torch.Generator(device)
        for batch in range(first_batch, len(self)):
            selected = indices[batch * self.batch_size : (batch + 1) * self.batch_size]
            images = self._images.index_select(0, selected)
            if self._augmented:
                seed = torch_seed(self._seed, Stream.AUGMENTATION, number, batch)
                images = augment(images, self._augmentation, generator.manual_seed(seed))
            yield self._normalize(images), self._labels.index_select(0, selected)

    def dummy(self) -> Batch:
        """Return zeros with the shape of a batch, and valid labels, for the warm-up."""
        device, shape = self._images.device, self._images.shape[1:]
        return (
            torch.zeros(self.batch_size, *shape, device=device),
            torch.zeros(self.batch_size, dtype=torch.int64, device=device),
        )


class EvaluationBatches:
    """Images in order, normalized, without augmentation; can be iterated repeatedly.

    Args:
        images: uint8 (N, C, H, W) on the device, N at least 1.
        labels: int64 (N,), likewise.
        statistics: mean and standard deviation for normalization.
        batch_size: maximum number of images per batch. All batches have equal size if N has a
            divisor in (batch_size / 2, batch_size]; otherwise only the last one differs.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        statistics: PixelStatistics,
        batch_size: int = EVALUATION_BATCH,
    ) -> None:
        self._images, self._labels = images, labels
        self._size = _even_size(len(images), batch_size)
        self._normalize = Normalize(statistics, images.device)

    @property
    def images(self) -> int:
        """Total number of images."""
        return len(self._images)

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self._images) // self._size)

    def first(self, images: int) -> EvaluationBatches:
        """Return batches of the first images, at least as many as requested if there are.

        On a GPU, batches keep their shape, so that compiled programs and CUDA graphs serve them.
        """
        if self._images.is_cuda:
            images = -(-images // self._size) * self._size
        part = copy.copy(self)
        part._images, part._labels = self._images[:images], self._labels[:images]
        return part

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self._images), self._size):
            batch = slice(start, start + self._size)
            yield self._normalize(self._images[batch]), self._labels[batch]


def _even_size(images: int, largest: int) -> int:
    # with equal shapes one compiled program serves all batches
    candidates = range(min(largest, images), largest // 2, -1)
    fewest = -(-images // largest)
    return next((size for size in candidates if images % size == 0), -(-images // fewest))


class Normalize:
    """Normalize pixels to mean 0 and standard deviation 1 in one operation."""

    def __init__(self, statistics: PixelStatistics, device: torch.device) -> None:
        mean = torch.tensor(statistics.mean, dtype=torch.float64)
        std = torch.tensor(statistics.std, dtype=torch.float64)
        self._shift = _per_channel(-mean / std, device)
        self._scale = {  # by dtype: uint8 is in [0, 255], float32 in [0, 1]
            torch.uint8: _per_channel(1 / (255 * std), device),
            torch.float32: _per_channel(1 / std, device),
        }

    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 images of the same shape (B, C, H, W)."""
        return torch.addcmul(self._shift, images.to(torch.float32), self._scale[images.dtype])


def _per_channel(values: Tensor, device: torch.device) -> Tensor:
    return values.to(torch.float32).to(device)[None, :, None, None]
