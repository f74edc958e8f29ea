"""Images that are in two parts of a split, or nearly, and make accuracies too high."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import PurePosixPath

import numpy as np

from tune_ode.config import DataConfig
from tune_ode.data.images import ImageData, Images, Labels
from tune_ode.data.splits.groups import group_ids
from tune_ode.data.splits.split import Split
from tune_ode.errors import DataError

GROUP_PATTERNS = (r"(.+/.+)_", r"(.+/.+)-", r"(.+/.+) ", r"(.+/.+)\..+\.", r"(.+/.+)/")
"""Paths that may be grouped: CLASS/GROUP_NUMBER.jpg, or with other separators."""
_EXAMINED = 200
"""Validation images to compare with training images."""
_COMPARED = 30
"""Training images to compare each of them with."""
_NEAR = 0.7
"""A near-duplicate differs by less than this share of the difference to other groups."""


def overlaps(data: ImageData, parts: Split, config: DataConfig) -> list[str]:
    """Return sentences on duplicates, and on groups that are in two parts of the split."""
    notes = _duplicates(data, parts)
    if data.given_validation and config.validation_fraction is not None:
        notes.append(
            "the given validation images are split together with the training images, since "
            "--validation is set"
        )
    if config.groups is not None:
        return notes + _divided_groups(data, parts, config.groups)
    return notes + _near_duplicates(data, parts)


def _duplicates(data: ImageData, parts: Split) -> list[str]:
    if not len(data.train_hashes):
        return []
    train, validation = (data.train_hashes[part] for part in (parts.train, parts.validation))
    counts = {
        "validation": (int(np.isin(validation, train).sum()), len(validation)),
        "test": (
            int(np.isin(data.test_hashes, np.concatenate([train, validation])).sum()),
            len(data.test_hashes),
        ),
    }
    found = [f"{n:,} of {size:,} {part} images" for part, (n, size) in counts.items() if n]
    if not found:
        return []
    return [
        f"{' and '.join(found)} are duplicates of images to train or select by, which makes "
        "accuracies too high: remove the copies"
    ]


def _divided_groups(data: ImageData, parts: Split, groups: str) -> list[str]:
    """Count groups that given directories divide; splits of our own keep them together."""
    ids = data.train_groups
    assert ids is not None
    members = {"training": set(ids[parts.train]), "validation": set(ids[parts.validation])}
    with suppress(DataError):  # a given test set may have other names
        both = group_ids([*data.train_files, *data.test_files], groups, data.name)
        members["test"] = set(both[len(ids) :])
    names = list(members)
    divided = [
        f"{len(common):,} groups are in {one} and {other}"
        for position, one in enumerate(names)
        for other in names[position + 1 :]
        if (common := members[one] & members[other])
    ]
    return [f"{', '.join(divided)} images, as given by their directories"] if divided else []


def _near_duplicates(data: ImageData, parts: Split) -> list[str]:
    for pattern in GROUP_PATTERNS:
        ids = _looks_grouped(data, pattern)
        if ids is None:
            continue
        near, examined = _count_near(data.train_images, data.train_labels, ids, parts)
        if near > examined / 2:
            example = parts.validation[np.isin(ids[parts.validation], ids[parts.train])][0]
            name = PurePosixPath(data.train_files[example])
            return [
                f"names such as {name.parent.name}/{name.name} look grouped, and {near} of "
                f"{examined} validation images examined are nearly the same as a training image "
                "of their group, so validation accuracies are too high: keep groups together "
                f"with --groups {shlex.quote(pattern)}"
            ]
    return []


def _looks_grouped(data: ImageData, pattern: str) -> Labels | None:
    """Return the groups of a pattern if most classes have several, and most groups images."""
    try:
        ids = group_ids(data.train_files, pattern, data.name)
    except DataError:
        return None
    sizes = np.bincount(ids)
    groups_of_class = np.bincount(data.train_labels[np.unique(ids, return_index=True)[1]])
    grouped = (sizes[ids] > 1).mean() > 0.5 and np.median(groups_of_class) > 1
    return ids if grouped else None


def _count_near(images: Images, labels: Labels, ids: Labels, parts: Split) -> tuple[int, int]:
    """Return how many validation images have a near-duplicate in their group, and of how many."""
    shared = parts.validation[np.isin(ids[parts.validation], ids[parts.train])]
    examined = shared[np.linspace(0, len(shared) - 1, min(len(shared), _EXAMINED)).astype(int)]
    near = 0
    for index in examined:
        same_class = parts.train[labels[parts.train] == labels[index]]
        inside = same_class[ids[same_class] == ids[index]]
        outside = same_class[ids[same_class] != ids[index]]
        differences = [_smallest_difference(images, index, one) for one in (inside, outside)]
        near += differences[0] < _NEAR * differences[1]
    return near, len(examined)


def _smallest_difference(images: Images, index: int, others: Labels) -> float:
    """Return the smallest mean difference of pixels to evenly spaced others."""
    if not len(others):
        return np.inf
    number = min(len(others), _COMPARED)
    chosen = images[others[np.linspace(0, len(others) - 1, number).astype(int)]]
    differences = np.abs(chosen.astype(np.int16) - images[index])
    return float(differences.mean(axis=(1, 2, 3)).min())
