"""How far a number can be trusted: pure functions, numpy not needed."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson_interval(share: float, count: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of a share measured on so many independent cases (Wilson, 1927).

    Unlike share ± z · standard error it stays inside [0, 1], and is no point at 0 or 1.

    Args:
        share: measured, in [0, 1].
        count: cases that it was measured on, at least 1.
        confidence: in (0, 1).
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    scale = 1 + z * z / count
    middle = (share + z * z / (2 * count)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(middle - half, 0.0), min(middle + half, 1.0)
