"""List the image files of a directory, by part and class.

A directory with `train/` has parts, whose names may be in any case: `train` or `training`; `valid`,
`val` or `validation`; `test` or `testing`. Names are normalized (Unicode NFC), so that a directory
is listed in the same order after it was copied from another system.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from tune_ode.data.sources.decode import extensions
from tune_ode.data.splits import SMALLEST_CLASS_TO_SPLIT
from tune_ode.errors import DataError
from tune_ode.text import pluralize

TRAIN, VALID, TEST = "train", "valid", "test"
PART_NAMES = {
    "train": TRAIN, "training": TRAIN, "valid": VALID, "val": VALID, "validation": VALID,
    "test": TEST, "testing": TEST,
}  # fmt: skip
HIDDEN = "hidden"


class File(NamedTuple):
    """An image file in a directory listing."""

    path: str
    bytes: int
    modified: int
    """Unix time in nanoseconds."""


Classes = dict[str, list[File]]


@dataclass
class Listing:
    """The image files below a directory."""

    root: Path
    parts: dict[str, Classes] = field(default_factory=dict)
    """`TRAIN`, and `VALID` and `TEST` if they exist → files of each class."""
    folders: dict[str, Path] = field(default_factory=dict)
    """Directory of each part."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """Number of files that are passed over, by kind."""
    notes: list[str] = field(default_factory=list)
    """What a user may not expect, one sentence each."""

    def relative(self, file: Path) -> str:
        """Return the path of a file relative to the root, with slashes."""
        return _normal(file.relative_to(self.root).as_posix())

    def without(self, files: Container[Path]) -> Listing:
        """Return the listing without some files.

        Raises:
            DataError: a class has too few images left.
        """
        parts = {
            part: {
                name: [file for file in members if Path(file.path) not in files]
                for name, members in classes.items()
            }
            for part, classes in self.parts.items()
        }
        left = Listing(self.root, parts, self.folders, self.passed_over, self.notes)
        left.check_counts()
        return left

    def check_counts(self) -> None:
        """Check that each class has enough images in each part.

        Raises:
            DataError: it has not.
        """
        least = {TRAIN: SMALLEST_CLASS_TO_SPLIT}
        if TEST in self.parts:
            least[TRAIN] = 1 if VALID in self.parts else 2
        for part, classes in self.parts.items():
            for name, files in classes.items():
                if len(files) < least.get(part, 1):
                    raise DataError(
                        f"class '{name}' in {self.folders[part]} has "
                        f"{pluralize(len(files), 'image') if files else 'no images'} and needs "
                        f"at least {least.get(part, 1)} for training, validation and test; add "
                        "images or remove it"
                    )


def list_images(root: Path) -> Listing:
    """List a directory with parts, or with classes only.

    Raises:
        DataError: no images, one class, classes that differ between parts or have too few images.
        OSError: a directory cannot be read.
    """
    listing = Listing(root)
    found: dict[str, list[str]] = defaultdict(list)
    others, without_classes = [], ""
    for name in _subfolders(root):
        part = PART_NAMES.get(name.lower())
        if part is not None and _subfolders(root / name):
            found[part].append(name)
        else:
            others.append(f"{name}/")
            if part is not None:
                without_classes = f" (no classes in {name}/)"
    if TRAIN not in found:
        parts = " and ".join(f"{name}/" for names in found.values() for name in names)
        if parts and not others:
            raise DataError(
                f"{root} has {parts} but no {TRAIN}/; add {TRAIN}/ with the same classes, or use "
                "--dataset folder:PATH with the path of a directory of classes"
            )
        if parts:
            listing.notes.append(f"{parts} is used as a class, since there is no {TRAIN}/")
        listing.folders[TRAIN] = root
    else:
        if doubled := next((names for names in found.values() if len(names) > 1), None):
            raise DataError(f"{root} has {' and '.join(doubled)}, which mean the same; keep one")
        if len(found) == 1:
            name = found[TRAIN][0]
            raise DataError(
                f"{root} has {name}/ but no {TEST}/{without_classes}; add {TEST}/ with the same "
                f"classes, or use --dataset folder:{root / name} to hold out a fifth of it as the "
                "test set"
            )
        listing.folders = {
            part: root / found[part][0] for part in (TRAIN, VALID, TEST) if part in found
        }
        if TEST not in found:
            listing.notes.append(f"without {TEST}/, a fifth of {found[TRAIN][0]}/ is the test set")
        if others:
            listing.notes.append(f"not used: {', '.join(others[:5])}{' …' * (len(others) > 5)}")
    for part, folder in listing.folders.items():
        listing.parts[part] = _list_classes(folder, listing)
    _check_same_classes(listing)
    listing.check_counts()
    return listing


def _list_classes(folder: Path, listing: Listing) -> Classes:
    directories: dict[str, list[str]] = defaultdict(list)
    for directory in _subfolders(folder):
        directories[_normal(directory)].append(directory)
    if not directories:
        raise DataError(
            f"{folder} contains no class directories; put the images of each class in one"
        )
    readable = extensions()
    passed_over = listing.passed_over
    classes = {
        name: [
            file
            for directory in directories[name]
            for file in _images(folder / directory, readable, passed_over)
        ]
        for name in sorted(directories)
    }
    if not any(classes.values()):
        found = f", found {counted(passed_over)}" if passed_over else ""
        raise DataError(
            f"{folder} contains no images; they must end in .jpg, .png, .webp or another "
            f"extension of a format that Pillow reads{found}"
        )
    if len(classes) == 1:
        raise DataError(
            f"{folder} contains only one class, '{next(iter(classes))}'; a classifier needs at "
            "least two"
        )
    with os.scandir(folder) as entries:
        outside = [e for e in entries if _suffix(e) in readable and not _is_directory(e)]
    if outside:
        passed_over["in no class directory"] += len(outside)
    for name, same in directories.items():
        if len(same) > 1:
            listing.notes.append(
                f"the {len(same)} directories '{name}' in {folder} are one class: their names "
                "differ in Unicode normalization only"
            )
    listing.notes += [
        f"classes {' and '.join(map(repr, names))} in {folder} differ in case only, and are "
        "separate classes; move the images to one directory if they are one"
        for names in _similar(classes)
    ]
    return classes


def _similar(names: Classes) -> list[list[str]]:
    """Return names that are equal but for case."""
    by_key: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_key[_key(name)].append(name)
    return [same for same in by_key.values() if len(same) > 1]


def _key(name: str) -> str:
    return normalize("NFKC", name).casefold().strip()


def _normal(name: str) -> str:
    return normalize("NFC", name)


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not _hidden(entry)]
    if broken := next((entry.path for entry in visible if not os.path.exists(entry.path)), None):
        raise DataError(f"{broken} is a broken link; restore its target or remove the link")
    return sorted(entry.name for entry in visible if _is_directory(entry))


def _is_directory(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a directory, or a link to one that does not contain the link.

    Raises:
        DataError: a link to a directory that contains it.
    """
    try:
        if not entry.is_dir():
            return False
    except OSError:  # a link to itself
        return False
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        if os.path.commonpath([target, os.path.realpath(os.path.dirname(entry.path))]) == target:
            raise DataError(
                f"{entry.path} is a link to a directory that contains it; remove the link"
            )
    return True


def _images(folder: Path, readable: frozenset[str], passed_over: Counter[str]) -> Iterator[File]:
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: _normal(entry.name))
    for entry in ordered:
        suffix = _suffix(entry)
        if _hidden(entry):
            passed_over[HIDDEN] += 1
        elif _is_directory(entry):
            yield from _images(Path(entry.path), readable, passed_over)
        elif suffix in readable:
            try:
                status = entry.stat()
            except OSError:  # a broken link: a file that cannot be used
                status = entry.stat(follow_symlinks=False)
            yield File(entry.path, status.st_size, status.st_mtime_ns)
        elif not os.path.exists(entry.path):
            passed_over["broken links"] += 1
        else:
            passed_over[suffix or "without an extension"] += 1


def _suffix(entry: os.DirEntry[str]) -> str:
    return Path(entry.name).suffix.lower()


def _hidden(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(".")


def counted(passed_over: Counter[str]) -> str:
    """Return the kinds of files and their numbers, as a list."""
    return ", ".join(f"{count} {kind}" for kind, count in passed_over.most_common())


def _check_same_classes(listing: Listing) -> None:
    train = listing.parts[TRAIN]
    for part in listing.parts.keys() - {TRAIN}:
        classes, names = listing.parts[part], [listing.folders[p].name for p in (TRAIN, part)]
        differing = [f"'{name}' is only in {names[0]}/" for name in train if name not in classes]
        differing += [f"'{name}' is only in {names[1]}/" for name in classes if name not in train]
        if differing:
            keys = [{_key(name) for name in one} for one in (train, classes)]
            hint = "; they differ in case only: rename them" * (keys[0] == keys[1])
            raise DataError(
                f"{listing.root}: {names[0]}/ and {names[1]}/ must contain the same classes, but "
                f"{', '.join(differing[:5])}{' …' if len(differing) > 5 else ''}{hint}"
            )
