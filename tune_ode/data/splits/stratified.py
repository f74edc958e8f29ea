"""Stratified samples: of exact size, and reproducible on every machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tune_ode.data.images import Labels
from tune_ode.data.randomness import Stream, permutation

Counts = npt.NDArray[np.int64]


def apportion(counts: Counts, total: int, *, least: int, spare: int) -> Counts:
    """Distribute a total among classes in proportion to their counts, by largest remainder.

    Args:
        counts: number of images of each class, (K,).
        total: number to distribute; clipped to the range that the bounds below allow.
        least: minimum number for each class.
        spare: number of images of each class that must remain.

    Returns:
        int64 (K,) with sum `total`.
    """
    smallest, largest = np.full_like(counts, least), counts - spare
    total = min(max(total, int(smallest.sum())), int(largest.sum()))
    shares: Counts = np.clip(counts * total // counts.sum(), smallest, largest)
    while (missing := total - int(shares.sum())) != 0:
        # deficit of each class, in integers so that ties do not depend on rounding
        deficit = counts * total - shares * counts.sum()
        if missing > 0:
            shares[np.where(shares < largest, deficit, np.iinfo(np.int64).min).argmax()] += 1
        else:
            shares[np.where(shares > smallest, deficit, np.iinfo(np.int64).max).argmin()] -= 1
    return shares


def cut(labels: Labels, used: Counts, held: Counts, seed: int) -> tuple[Labels, Labels]:
    """Draw images of each class at random, and hold some of them out.

    Args:
        labels: int64 (N,).
        used: number of images to draw from each class, (K,), in ascending order of the labels.
        held: how many of these to hold out, (K,).
        seed: seed of the draw.

    Returns:
        Ascending indices of the kept and of the held-out images.
    """
    kept, held_out = [], []
    for label, count, number in zip(np.unique(labels), used, held, strict=True):
        members = np.flatnonzero(labels == label)
        drawn = members[permutation(len(members), seed, Stream.SPLIT, int(label))][:count]
        held_out.append(drawn[:number])
        kept.append(drawn[number:])
    return np.sort(np.concatenate(kept)), np.sort(np.concatenate(held_out))


def interleave(labels: Labels, seed: int) -> Labels:
    """Return a random order in which the first n images are stratified, for every n.

    Args:
        labels: int64 (N,).
        seed: seed of the order.

    Returns:
        Indices of the images, (N,); the count of each class among the first n differs from its
        share of n by less than 1.5.
    """
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        ranks = permutation(len(members), seed, Stream.SPLIT, int(label), 1)
        place[members] = (ranks + 0.5) / len(members)
    return np.argsort(place, kind="stable")


def sample(labels: Labels, pool: Labels, total: int, seed: int) -> Labels:
    """Return ascending indices of a stratified sample of a pool, with an image of each class.

    Args:
        labels: int64 (N,).
        pool: indices of the images to draw from.
        total: number of images to draw.
        seed: seed of the draw.
    """
    counts = np.unique(labels[pool], return_counts=True)[1]
    used = apportion(counts, total, least=1, spare=0)
    kept, _ = cut(labels[pool], used, np.zeros_like(used), seed)
    drawn: Labels = pool[kept]
    return drawn
