"""Random streams that are pure functions of a seed, a purpose and a position.

Built on NumPy's `SeedSequence` and the raw output of `PCG64`, the two parts of `numpy.random` whose
streams are promised to stay the same in every version (NEP 19); `Generator.permutation` is not.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt


class Stream(IntEnum):
    """What random numbers are for; streams of different purposes are independent."""

    SPLIT = 0
    ORDER = 1
    AUGMENTATION = 2


def stream(seed: int, purpose: Stream, *position: int) -> np.random.SeedSequence:
    """Return the root of the stream at a position, such as (epoch, batch); all are non-negative."""
    # the spawn key, since entropy is padded with zeros: entropies (s,) and (s, 0) are the same
    return np.random.SeedSequence(seed, spawn_key=(int(purpose), *position))


def permutation(size: int, seed: int, purpose: Stream, *position: int) -> npt.NDArray[np.int64]:
    """Return a permutation of 0 … size - 1, int64 (size,)."""
    keys = np.random.PCG64(stream(seed, purpose, *position)).random_raw(size)
    return np.argsort(keys, kind="stable")


def torch_seed(seed: int, purpose: Stream, *position: int) -> int:
    """Return a seed for a `torch.Generator`, in [0, 2⁶⁴)."""
    return int(stream(seed, purpose, *position).generate_state(1, np.uint64)[0])
