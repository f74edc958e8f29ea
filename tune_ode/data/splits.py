"""Stratified splits: of exact size, and reproducible on every machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tune_ode.config import DataConfig
from tune_ode.data.images import Labels
from tune_ode.data.randomness import Stream, permutation
from tune_ode.errors import DataError

Counts = npt.NDArray[np.int64]

TEST_FRACTION = 0.2
TEST_SEED = 0
"""Seed of the test split for data without a test set; fixed, so that runs are comparable."""
SMALLEST_CLASS_TO_SPLIT = 3
"""One image each for training, validation and test."""


@dataclass(frozen=True, eq=False)
class Split:
    """Disjoint, ascending indices of the training images used."""

    train: Labels
    """int64; used for training."""
    validation: Labels
    """int64; held out for validation."""


def split(labels: Labels, config: DataConfig) -> Split:
    """Split the training images, or a subset of `train_images` of them, for validation.

    Subset and split are stratified: the count of each class differs from the proportional one by
    less than one image, except that every class has an image in both parts.

    Args:
        labels: int64 (N,), labels of the training set.
        config: uses `train_images`, `validation_fraction` and `split_seed`.

    Raises:
        DataError: more images requested than available, or fewer than two per class.
    """
    classes, counts = np.unique(labels, return_counts=True)
    available, requested = len(labels), config.train_images
    if counts.min() < 2:
        raise DataError(
            "every class needs at least 2 training images, one for training and one for "
            f"validation; class {classes[counts.argmin()]} has {counts.min()}: add images or "
            "remove the class"
        )
    if requested is not None and requested > available:
        raise DataError(
            f"--train-images {requested} is more than the {available} training images of "
            f"'{config.dataset}'; request at most {available}"
        )
    if requested is not None and requested < 2 * len(classes):
        raise DataError(
            f"--train-images {requested} is too few for the {len(classes)} classes of "
            f"'{config.dataset}': each needs one image for training and one for validation; "
            f"request at least {2 * len(classes)}"
        )
    used = counts if requested is None else apportion(counts, requested, least=2, spare=0)
    held = apportion(used, round(config.validation_fraction * int(used.sum())), least=1, spare=1)
    return _cut(labels, classes, used, held, config.split_seed)


def hold_out_test(labels: Labels) -> Split:
    """Hold out a stratified fifth of the images as the test set, with a fixed seed.

    Args:
        labels: int64 (N,), at least `SMALLEST_CLASS_TO_SPLIT` of each class.

    Returns:
        A split whose `validation` is the test set.
    """
    classes, counts = np.unique(labels, return_counts=True)
    assert counts.min() >= SMALLEST_CLASS_TO_SPLIT
    held = apportion(counts, round(TEST_FRACTION * len(labels)), least=1, spare=2)
    return _cut(labels, classes, counts, held, TEST_SEED)


def chance_accuracy(labels: Labels) -> float:
    """Return the accuracy of always predicting the most frequent class, in (0, 1]."""
    return float(np.bincount(labels).max() / len(labels))


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


def _cut(labels: Labels, classes: Labels, used: Counts, held: Counts, seed: int) -> Split:
    train, validation = [], []
    for label, count, validated in zip(classes, used, held, strict=True):
        members = np.flatnonzero(labels == label)
        selected = members[permutation(len(members), seed, Stream.SPLIT, int(label))][:count]
        validation.append(selected[:validated])
        train.append(selected[validated:])
    return Split(np.sort(np.concatenate(train)), np.sort(np.concatenate(validation)))
