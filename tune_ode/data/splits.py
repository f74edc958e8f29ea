"""Stratified subsets: exact in size, fair to every class, the same on every machine."""

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
"""Of data that come without a test set: fixed, so that every run is scored on the same images."""
SMALLEST_CLASS_TO_SPLIT = 3
"""One image each to train on, to validate on and to test on."""


@dataclass(frozen=True, eq=False)
class Split:
    """The training images a search uses: ascending indices, disjoint."""

    train: Labels
    """int64, trained on."""
    validation: Labels
    """int64, held out to rank trials by."""


def split(labels: Labels, config: DataConfig) -> Split:
    """Cut the training images (or a subset of `train_images` of them) into training and validation.

    Both cuts are stratified: a class's share differs from its proportional one by less than one
    image, except where a class would be left without an image on either side.

    Args:
        labels: int64 (N,), of the whole training set.
        config: its `train_images`, `validation_fraction` and `split_seed` decide.

    Raises:
        DataError: more images asked for than there are, or fewer than two a class.
    """
    classes, counts = np.unique(labels, return_counts=True)
    available, asked = len(labels), config.train_images
    if counts.min() < 2:
        raise DataError(
            f"every class needs at least 2 training images, one to train on and one to validate "
            f"on; class {classes[counts.argmin()]} has {counts.min()}: add images or drop the class"
        )
    if asked is not None and asked > available:
        raise DataError(
            f"--train-images {asked} is more than the {available} training images of "
            f"'{config.dataset}'; ask for at most {available}"
        )
    if asked is not None and asked < 2 * len(classes):
        raise DataError(
            f"--train-images {asked} is too few for the {len(classes)} classes of "
            f"'{config.dataset}': each needs one image to train on and one to validate on; ask for "
            f"at least {2 * len(classes)}"
        )
    used = counts if asked is None else apportion(counts, asked, least=2, spare=0)
    held = apportion(used, round(config.validation_fraction * int(used.sum())), least=1, spare=1)
    return _cut(labels, classes, used, held, config.split_seed)


def hold_out_test(labels: Labels) -> Split:
    """Hold out a fifth of the images as the test set, stratified, with a fixed seed.

    Args:
        labels: int64 (N,), at least `SMALLEST_CLASS_TO_SPLIT` of each class.

    Returns:
        The test set stands in `validation`.
    """
    classes, counts = np.unique(labels, return_counts=True)
    assert counts.min() >= SMALLEST_CLASS_TO_SPLIT
    held = apportion(counts, round(TEST_FRACTION * len(labels)), least=1, spare=2)
    return _cut(labels, classes, counts, held, TEST_SEED)


def chance_accuracy(labels: Labels) -> float:
    """Return the accuracy of always guessing the most frequent class, in (0, 1]."""
    return float(np.bincount(labels).max() / len(labels))


def apportion(counts: Counts, total: int, *, least: int, spare: int) -> Counts:
    """Share out a total among classes in proportion to their counts, by largest remainder.

    Args:
        counts: images of each class, (K,).
        total: to be shared out; brought into the range that the bounds below allow.
        least: every class gets this many.
        spare: every class keeps this many back.

    Returns:
        int64 (K,), of sum `total`.
    """
    smallest, largest = np.full_like(counts, least), counts - spare
    total = min(max(total, int(smallest.sum())), int(largest.sum()))
    shares: Counts = np.clip(counts * total // counts.sum(), smallest, largest)
    while (missing := total - int(shares.sum())) != 0:
        # in integers, so that no tie depends on rounding: how far each class is under its quota
        under = counts * total - shares * counts.sum()
        if missing > 0:
            shares[np.where(shares < largest, under, np.iinfo(np.int64).min).argmax()] += 1
        else:
            shares[np.where(shares > smallest, under, np.iinfo(np.int64).max).argmin()] -= 1
    return shares


def _cut(labels: Labels, classes: Labels, used: Counts, held: Counts, seed: int) -> Split:
    train, validation = [], []
    for label, share, validated in zip(classes, used, held, strict=True):
        members = np.flatnonzero(labels == label)
        chosen = members[permutation(len(members), seed, Stream.SPLIT, int(label))][:share]
        validation.append(chosen[:validated])
        train.append(chosen[validated:])
    return Split(np.sort(np.concatenate(train)), np.sort(np.concatenate(validation)))
