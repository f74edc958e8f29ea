"""Fingerprint of a data set: what its images are, regardless of where they are stored.

A run keeps it, so that its trials, also after a resume, are measured on the same images. It is a
JSON object:

    shape      [C, H, W]
    classes    name of each class, in the order of the labels → its number of images in each part
               (`train`, `validation` if it is given, `test`), and `pixels`, a hash of them in
               their order
    groups     if images are grouped, a hash of the groups of the training images
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from tune_ode.data.images import Hashes, ImageData, Images
from tune_ode.errors import DataChanged

Fingerprint = dict[str, Any]
_HASH_BYTES = 8
_MOST_NAMED = 3


def with_hashes(data: ImageData) -> ImageData:
    """Return the data with a hash of the pixels of each image."""
    return replace(
        data, train_hashes=_hashes(data.train_images), test_hashes=_hashes(data.test_images)
    )


def _hashes(images: Images) -> Hashes:
    digests = (hashlib.blake2b(one.tobytes(), digest_size=_HASH_BYTES).digest() for one in images)
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


@lru_cache(maxsize=1)
def fingerprint(data: ImageData) -> Fingerprint:
    """Return the fingerprint of a loaded data set."""
    end = len(data.train_labels) - data.given_validation
    parts = {
        "train": (data.train_labels[:end], data.train_hashes[:end]),
        "validation": (data.train_labels[end:], data.train_hashes[end:]),
        "test": (data.test_labels, data.test_hashes),
    }
    classes: dict[str, dict[str, Any]] = {}
    for label, name in enumerate(data.class_names):
        members = {part: hashes[labels == label] for part, (labels, hashes) in parts.items()}
        digest = hashlib.sha256(b"|".join(hashes.tobytes() for hashes in members.values()))
        sizes = {part: len(hashes) for part, hashes in members.items() if len(hashes)}
        # published data sets may have classes of the same name
        unique = f"{name} ({label})" if name in classes else name
        classes[unique] = {**sizes, "pixels": digest.hexdigest()[:16]}
    found: Fingerprint = {"shape": list(data.shape), "classes": classes}
    if data.train_groups is not None:
        found["groups"] = hashlib.sha256(data.train_groups.tobytes()).hexdigest()[:16]
    return found


def require_unchanged(
    data: ImageData, before: Fingerprint | None, since: str, remedy: str = "start a new run"
) -> None:
    """Check that the images are those of a fingerprint.

    Args:
        data: the images as they are now.
        before: the fingerprint to compare with; None: of an older run, which has none.
        since: who used them, for the message.
        remedy: what to do if the images shall stay as they are now.

    Raises:
        DataChanged: they are not; names what changed.
    """
    if before is not None and (changes := _changes(before, fingerprint(data))):
        more = len(changes) - _MOST_NAMED
        raise DataChanged(
            f"the images of '{data.name}' are not those of {since}: "
            f"{', '.join(changes[:_MOST_NAMED])}{f' and {more} more changes' * (more > 0)}; "
            f"restore them, or {remedy}"
        )


def _changes(before: Fingerprint, now: Fingerprint) -> list[str]:
    """Describe how two fingerprints differ, the most important change first."""
    old, new = before["classes"], now["classes"]
    changes: list[str] = []
    other_pixels: list[str] = []
    if before["shape"] != now["shape"]:
        shapes = ["×".join(map(str, one["shape"])) for one in (before, now)]
        changes.append(f"{shapes[0]} pixels before, {shapes[1]} now")
    totals = [sum(sum(_sizes(one).values()) for one in part.values()) for part in (old, new)]
    if totals[0] != totals[1]:
        changes.append(f"{totals[0]} images before, {totals[1]} now")
    for name in old | new:
        if name not in old or name not in new:
            changes.append(f"class '{name}' is {'new' if name in new else 'gone'}")
        elif (sizes := [_sizes(one[name]) for one in (old, new)])[0] != sizes[1]:
            counts = [" + ".join(f"{n} {part}" for part, n in one.items()) for one in sizes]
            changes.append(f"class '{name}' had {counts[0]} and has {counts[1]}")
        elif old[name] != new[name]:
            other_pixels.append(f"other pixels in class '{name}'")
    if not changes and list(old) != list(new):
        changes.append("other order of classes")
    if not changes and before.get("groups") != now.get("groups"):
        changes.append("other groups of images")
    return changes + other_pixels


def _sizes(entry: dict[str, Any]) -> dict[str, int]:
    return {part: size for part, size in entry.items() if part != "pixels"}
