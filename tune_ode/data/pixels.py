"""Per-channel mean and standard deviation of pixels, exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tune_ode.data.images import Images

SMALLEST_STD = 1 / 255
"""One grey level: what a channel that is (nearly) constant is divided by."""

_BLOCK = 1024  # images counted at once: bounds the temporary memory


@dataclass(frozen=True)
class PixelStatistics:
    """What normalization subtracts and divides by; one value a channel, for pixels in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def measure(images: Images) -> PixelStatistics:
    """Measure all pixels of uint8 images (N, C, H, W), N at least 1.

    From counts of the 256 levels, so the result depends on no order of summation.
    """
    levels = np.arange(256) / 255
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = np.zeros(256, dtype=np.int64)
        for start in range(0, len(images), _BLOCK):
            counts += np.bincount(images[start : start + _BLOCK, channel].ravel(), minlength=256)
        shares = counts / counts.sum()
        mean = float(shares @ levels)
        means.append(mean)
        stds.append(max(float(np.sqrt(shares @ (levels - mean) ** 2)), SMALLEST_STD))
    return PixelStatistics(tuple(means), tuple(stds))
