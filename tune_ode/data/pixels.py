"""Statistics of pixels: exact mean and standard deviation per channel; constant images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tune_ode.data.images import Images, Levels

SMALLEST_STD = 1 / 255
"""One grey level; the standard deviation of (nearly) constant channels."""

_BLOCK = 1024  # images counted at once, which bounds temporary memory


@dataclass(frozen=True)
class PixelStatistics:
    """Mean and standard deviation for normalization, per channel, for pixels in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    levels: Levels | None = None
    """The range of pixels as stored, if that was scaled to 8 bits; as in `Decoding`."""


def measure(images: Images, levels: Levels | None = None) -> PixelStatistics:
    """Return the statistics of uint8 images (N, C, H, W), N at least 1, with their levels.

    Computed from counts of the 256 levels, so the result does not depend on a summation order.
    """
    greys = np.arange(256) / 255
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = np.zeros(256, dtype=np.int64)
        for start in range(0, len(images), _BLOCK):
            counts += np.bincount(images[start : start + _BLOCK, channel].ravel(), minlength=256)
        fractions = counts / counts.sum()
        mean = float(fractions @ greys)
        means.append(mean)
        stds.append(max(float(np.sqrt(fractions @ (greys - mean) ** 2)), SMALLEST_STD))
    return PixelStatistics(tuple(means), tuple(stds), levels)


def is_constant(images: Images) -> npt.NDArray[np.bool_]:
    """Return whether each of (N, C, H, W) images has a single color, (N,)."""
    blocks = [images[start : start + _BLOCK] for start in range(0, len(images), _BLOCK)]
    equal = [(block == block[..., :1, :1]).all(axis=(1, 2, 3)) for block in blocks]
    return np.concatenate(equal) if equal else np.zeros(0, dtype=bool)
