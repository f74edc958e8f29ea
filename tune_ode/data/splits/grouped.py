"""Hold out whole groups, about in proportion to the classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tune_ode.data.images import Labels
from tune_ode.data.randomness import Stream, permutation
from tune_ode.data.splits.stratified import apportion
from tune_ode.errors import DataError
from tune_ode.text import pluralize


def hold_out_groups(
    labels: Labels, groups: Labels, share: float, seed: int, names: Sequence[str], *, remain: int
) -> tuple[Labels, Labels]:
    """Divide images so that no group is in both parts, and every class is.

    Groups are visited in random order, and held out if that brings the sizes of their classes
    closer to the share; first, each class gets the group that does so best.

    Args:
        labels: int64 (N,).
        groups: int64 (N,), the number of each image's group, from 0.
        share: share of the images to hold out, in (0, 1).
        seed: seed of the order of groups.
        names: of the classes, for messages.
        remain: minimum number of groups of each class that are not held out.

    Returns:
        Ascending indices of the kept and of the held-out images.

    Raises:
        DataError: a class has too few groups.
    """
    pairs, sizes = np.unique(groups * len(names) + labels, return_counts=True)
    contents: list[list[tuple[int, int]]] = [[] for _ in range(int(groups.max()) + 1)]
    """Of each group: its classes, with their numbers of images."""
    for pair, size in zip(pairs.tolist(), sizes.tolist(), strict=True):
        contents[pair // len(names)].append((pair % len(names), size))
    left = np.bincount(pairs % len(names), minlength=len(names)).tolist()
    for label, count in enumerate(left):
        if count <= remain:
            raise DataError(
                f"class '{names[label]}' has {pluralize(count, 'group')} of images and needs at "
                f"least {remain + 1}, since training and held-out images must not share one; add "
                "images or remove the class"
            )
    counts = np.bincount(labels, minlength=len(names))
    wanted = apportion(counts, round(share * len(labels)), least=1, spare=1).tolist()
    held = [0] * len(names)
    chosen = np.zeros(len(contents), dtype=bool)

    def excess(group: int) -> int:
        """Return the change of the distance from the wanted sizes."""
        return sum(
            abs(held[label] + size - wanted[label]) - abs(held[label] - wanted[label])
            for label, size in contents[group]
        )

    def can_leave(group: int) -> bool:
        return not chosen[group] and all(left[label] > remain for label, _ in contents[group])

    def hold_out(group: int) -> None:
        chosen[group] = True
        for label, size in contents[group]:
            held[label] += size
            left[label] -= 1

    order = permutation(len(contents), seed, Stream.SPLIT).tolist()
    candidates: list[list[int]] = [[] for _ in names]
    for group in order:
        for label, _ in contents[group]:
            candidates[label].append(group)
    for label in sorted(range(len(names)), key=lambda label: left[label]):
        if not held[label]:
            possible = [group for group in candidates[label] if can_leave(group)]
            if not possible:
                raise DataError(
                    f"class '{names[label]}' cannot be in both parts of a split, since its groups "
                    "contain the last ones of other classes; use smaller groups"
                )
            hold_out(min(possible, key=excess))
    for group in order:
        if can_leave(group) and excess(group) < 0:
            hold_out(group)
    return np.flatnonzero(~chosen[groups]), np.flatnonzero(chosen[groups])
