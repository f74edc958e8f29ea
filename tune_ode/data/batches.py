"""Batches from images that lie on the training device: no loader, no worker processes.

Random numbers are derived from (seed, epoch, batch) alone and kept in no state, so an epoch can be
taken up at any batch and gives what it would have given.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from tune_ode.config import AugmentationConfig
from tune_ode.data.augmentation import augment
from tune_ode.data.pixels import PixelStatistics
from tune_ode.data.randomness import Stream, permutation, torch_seed

EVALUATION_BATCH = 512
"""Images at most: enough to keep a device busy."""

Batch = tuple[Tensor, Tensor]
"""Images float32 (B, C, H, W), normalized; labels int64 (B,)."""


class TrainBatches:
    """The training images in random order, augmented and normalized, in batches of one size.

    Args:
        images: uint8 (N, C, H, W) on the training device.
        labels: int64 (N,), likewise.
        batch_size: images a batch; at most N are taken. Images that don't fill a batch are left
            out, others in each epoch.
        seed: of the order and the augmentation.
        statistics: to normalize by.
        augmentation: the random changes.
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
        self._normalize = _Normalize(statistics, images.device)

    def __len__(self) -> int:
        """Return the number of batches an epoch."""
        return len(self._images) // self.batch_size

    def epoch(self, number: int, first_batch: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch: a function of the seed and the epoch's number.

        Args:
            number: counts from 0.
            first_batch: where to begin; the batches from there on are those of the whole epoch.
        """
        device = self._images.device
        order = permutation(len(self._images), self._seed, Stream.ORDER, number)
        places = torch.from_numpy(order).to(device)
        generator = torch.Generator(device)
        for batch in range(first_batch, len(self)):
            chosen = places[batch * self.batch_size : (batch + 1) * self.batch_size]
            images = self._images.index_select(0, chosen)
            if self._augmented:
                seed = torch_seed(self._seed, Stream.AUGMENTATION, number, batch)
                images = augment(images, self._augmentation, generator.manual_seed(seed))
            yield self._normalize(images), self._labels.index_select(0, chosen)

    def dummy(self) -> Batch:
        """Return zeros of a batch's shape with valid labels, to warm up on; draws nothing."""
        device, shape = self._images.device, self._images.shape[1:]
        return (
            torch.zeros(self.batch_size, *shape, device=device),
            torch.zeros(self.batch_size, dtype=torch.int64, device=device),
        )


class EvaluationBatches:
    """Images in order, normalized only; can be gone through any number of times.

    Args:
        images: uint8 (N, C, H, W) on the device, N at least 1.
        labels: int64 (N,), likewise.
        statistics: to normalize by.
        batch_size: images a batch at most. All batches are of one size if a divisor of N lies
            between half of it and all of it; otherwise only the last one differs.
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
        self._normalize = _Normalize(statistics, images.device)

    @property
    def images(self) -> int:
        """Number of images in all batches together."""
        return len(self._images)

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self._images) // self._size)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self._images), self._size):
            batch = slice(start, start + self._size)
            yield self._normalize(self._images[batch]), self._labels[batch]


def _even_size(images: int, largest: int) -> int:
    # equal shapes: what is compiled for one batch serves all
    candidates = range(min(largest, images), largest // 2, -1)
    fewest = -(-images // largest)
    return next((size for size in candidates if images % size == 0), -(-images // fewest))


class _Normalize:
    """Bring pixels to mean 0 and standard deviation 1 by given statistics, in one pass."""

    def __init__(self, statistics: PixelStatistics, device: torch.device) -> None:
        mean = torch.tensor(statistics.mean, dtype=torch.float64)
        std = torch.tensor(statistics.std, dtype=torch.float64)
        self._shift = _per_channel(-mean / std, device)
        self._scale = {  # by dtype: bytes are levels of 255, floats lie in [0, 1]
            torch.uint8: _per_channel(1 / (255 * std), device),
            torch.float32: _per_channel(1 / std, device),
        }

    def __call__(self, images: Tensor) -> Tensor:
        return torch.addcmul(self._shift, images.to(torch.float32), self._scale[images.dtype])


def _per_channel(values: Tensor, device: torch.device) -> Tensor:
    return values.to(torch.float32).to(device)[None, :, None, None]
