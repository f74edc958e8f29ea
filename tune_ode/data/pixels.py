"""Exact mean and standard deviation of pixels per channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tune_ode.data.images import Images

SMALLEST_STD = 1 / 255
"""One grey level; the standard deviation of (nearly) constant channels."""

_BLOCK = 1024  # images counted at once, which bounds temporary memory


@dataclass(frozen=True)
class PixelStatistics:
    """Mean and standard deviation for normalization, per channel, for pixels in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def measure(images: Images) -> PixelStatistics:
    """Return the statistics of uint8 images (N, C, H, W), N at least 1.

    Computed from counts of the 256 levels, so the result does not depend on a summation order.
    """
    levels = np.arange(256) / 255
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = np.zeros(256, dtype=np.int64)
        for start in range(0, len(images), _BLOCK):
            counts += np.bincount(images[start : start + _BLOCK, channel].ravel(), minlength=256)
        fractions = counts / counts.sum()
        mean = float(fractions @ levels)
        means.append(mean)
        stds.append(max(float(np.sqrt(fractions @ (levels - mean) ** 2)), SMALLEST_STD))
    return PixelStatistics(tuple(means), tuple(stds))
