"""The splits of a data set: training, validation and test images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tune_ode.config import DataConfig
from tune_ode.data.images import ImageData, Labels
from tune_ode.data.splits.grouped import hold_out_groups
from tune_ode.data.splits.stratified import apportion, cut, sample
from tune_ode.errors import DataError

VALIDATION_IMAGES = 1_000
"""Images to hold out by default, as far as `VALIDATION_FRACTIONS` allows: with 288 images, a trial
that is 20 % slower ranks first in 6 % of searches, with 575 in 1 % (`benchmarks.ranking_rule`)."""
VALIDATION_FRACTIONS = (0.2, 0.4)
"""Smallest and largest share to hold out by default."""
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


def split(data: ImageData, config: DataConfig) -> Split:
    """Split the training images, or a subset of `train_images` of them, for validation.

    Without groups, subset and split are stratified: the count of each class differs from the
    proportional one by less than one image, except that every class has an image in both parts.
    Groups stay together, so their split is stratified only as far as their sizes allow.

    Args:
        data: uses the training labels, and their groups and given validation images, if any.
        config: uses `train_images`, `validation_fraction` and `split_seed`.

    Raises:
        DataError: more images requested than available, too few images or groups of a class.
    """
    labels, requested = data.train_labels, config.train_images
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise DataError(
            "every class needs at least 2 training images, one for training and one for "
            f"validation; class '{data.class_names[classes[counts.argmin()]]}' has "
            f"{counts.min()}: add images or remove the class"
        )
    if requested is not None and requested > len(labels):
        raise DataError(
            f"--train-images {requested} is more than the {len(labels)} training images of "
            f"'{config.dataset}'; request at most {len(labels)}"
        )
    if requested is not None and requested < 2 * len(classes):
        raise DataError(
            f"--train-images {requested} is too few for the {len(classes)} classes of "
            f"'{config.dataset}': each needs one image for training and one for validation; "
            f"request at least {2 * len(classes)}"
        )
    fraction = config.validation_fraction or default_fraction(requested or len(labels))
    seed = config.split_seed
    if data.given_validation and config.validation_fraction is None:
        everything = np.arange(len(labels))
        train, validation = np.split(everything, [len(labels) - data.given_validation])
    elif (groups := data.train_groups) is not None:
        train, validation = hold_out_groups(
            labels, groups, fraction, seed, data.class_names, remain=1
        )
    else:
        used = counts if requested is None else apportion(counts, requested, least=2, spare=0)
        held = apportion(used, round(fraction * int(used.sum())), least=1, spare=1)
        return Split(*cut(labels, used, held, seed))
    if requested is not None:
        held_out = round(requested * len(validation) / len(labels))
        held_out = min(max(held_out, len(classes)), requested - len(classes))
        train = sample(labels, train, requested - held_out, seed)
        validation = sample(labels, validation, held_out, seed)
    return Split(train, validation)


def default_fraction(images: int) -> float:
    """Return the default share of training images to hold out; the fewer images, the larger."""
    smallest, largest = VALIDATION_FRACTIONS
    return min(max(VALIDATION_IMAGES / images, smallest), largest)


def hold_out_test(
    labels: Labels, groups: Labels | None = None, names: tuple[str, ...] = ()
) -> Split:
    """Hold out a stratified fifth of the images as the test set, with a fixed seed.

    Args:
        labels: int64 (N,), at least `SMALLEST_CLASS_TO_SPLIT` of each class.
        groups: int64 (N,), the number of each image's group, from 0; None: no groups.
        names: of the classes; needed with groups.

    Returns:
        A split whose `validation` is the test set.

    Raises:
        DataError: a class has too few groups.
    """
    if groups is not None:
        parts = hold_out_groups(labels, groups, TEST_FRACTION, TEST_SEED, names, remain=2)
        return Split(*parts)
    counts = np.unique(labels, return_counts=True)[1]
    held = apportion(counts, round(TEST_FRACTION * len(labels)), least=1, spare=2)
    return Split(*cut(labels, counts, held, TEST_SEED))


def chance_accuracy(labels: Labels) -> float:
    """Return the accuracy of always predicting the most frequent class, in (0, 1]."""
    return float(np.bincount(labels).max() / len(labels))
