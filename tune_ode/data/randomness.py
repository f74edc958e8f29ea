"""Random streams that are pure functions of seed, purpose and position.

They use NumPy's `SeedSequence` and the raw output of `PCG64`, which are guaranteed to be stable
across versions (NEP 19), unlike `Generator.permutation`.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt


class Stream(IntEnum):
    """Purpose of random numbers; streams of different purposes are independent."""

    SPLIT = 0
    ORDER = 1
    AUGMENTATION = 2


def stream(seed: int, purpose: Stream, *position: int) -> np.random.SeedSequence:
    """Return the seed sequence of a position such as (epoch, batch); all numbers are ≥ 0."""
    # spawn_key, since entropies are padded with zeros: (s,) and (s, 0) would be the same
    return np.random.SeedSequence(seed, spawn_key=(int(purpose), *position))


def permutation(size: int, seed: int, purpose: Stream, *position: int) -> npt.NDArray[np.int64]:
    """Return a permutation of 0 … size - 1, int64 (size,)."""
    keys = np.random.PCG64(stream(seed, purpose, *position)).random_raw(size)
    return np.argsort(keys, kind="stable")


def torch_seed(seed: int, purpose: Stream, *position: int) -> int:
    """Return a seed for a `torch.Generator`, in [0, 2⁶⁴)."""
    return int(stream(seed, purpose, *position).generate_state(1, np.uint64)[0])
