"""Parts and classes of image folders, and names that are nearly equal."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tune_ode.config import DataConfig
from tune_ode.data import ImageData, fingerprint, load, read_all, split
from tune_ode.errors import DataError

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def images(count: int, seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, 8, 8), np.uint8))


def loaded(root: Path, **values: object) -> ImageData:
    return load(DataConfig(dataset=f"folder:{root}", **values))


def write(tree, **sizes: int) -> Path:
    """Write classes `a` and `b` for each part."""
    return tree(
        {
            f"{part}/{name}": images(size, seed=number * 2 + (name == "b"))
            for number, (part, size) in enumerate(sizes.items())
            for name in "ab"
        }
    )


@pytest.mark.parametrize("name", ["valid", "val", "validation", "Val"])
def test_given_validation_images_are_used(tree, name):
    data = loaded(write(tree, train=6, test=3, **{name: 4}))
    parts = split(data, DataConfig())
    assert (len(parts.train), len(parts.validation), len(data.test_labels)) == (12, 8, 6)
    files = [data.train_files[index] for index in parts.validation]
    assert all(file.startswith(f"{name}/") for file in files)
    assert data.train_labels[parts.validation].tolist() == [0] * 4 + [1] * 4
    assert data.notes == ()
    own = split(data, DataConfig(validation_fraction=0.5))
    assert len(own.train) == len(own.validation) == 10


def test_without_a_test_directory_a_fifth_of_the_training_images_is_the_test_set(tree):
    data = loaded(write(tree, train=10, val=3))
    parts = split(data, DataConfig())
    assert (len(parts.train), len(parts.validation), len(data.test_labels)) == (16, 6, 4)
    assert data.notes == ("without test/, a fifth of train/ is the test set",)


def test_groups_stay_together_in_a_test_set_that_is_held_out(tree):
    root = tree({"a": images(30), "b": images(30, seed=1)})
    for file in sorted(root.rglob("*.png")):
        file.rename(file.with_name(f"{int(file.stem) // 5}_{file.name}"))
    data = loaded(root, groups="(.+/.+)_")
    groups = [{file.rpartition("_")[0] for file in f} for f in (data.train_files, data.test_files)]
    assert not groups[0] & groups[1]
    assert len(groups[0] | groups[1]) == 12
    assert len(data.test_files) == 10
    other = loaded(root)
    assert other.test_files != data.test_files
    assert fingerprint(other) != fingerprint(data)


def test_directories_that_are_no_part_are_named(tree):
    data = loaded(write(tree, Train=4, TEST=2, extra=3))
    assert data.train_files[0] == "Train/a/000.png"
    assert data.notes == ("not used: extra/",)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"train": 4, "val": 2, "valid": 2}, "has val and valid, which mean the same; keep one"),
        ({"train": 4}, "has train/ but no test/"),
        ({"test": 4}, "has test/ but no train/"),
        ({"testing": 4, "val": 4}, "has testing/ and val/ but no train/"),
        ({"train": 2, "val": 2}, "has 2 images and needs at least 3"),
    ],
)
def test_unclear_parts_are_refused(tree, sizes, message):
    with pytest.raises(DataError, match=message):
        loaded(write(tree, **sizes))


def test_classes_of_the_parts_that_differ_in_case_are_explained(tree):
    root = tree({"train/Cat": images(4), "train/b": images(4), "test/cat": images(2),
                 "test/b": images(2)})  # fmt: skip
    with pytest.raises(DataError, match="'Cat' is only in train/.*differ in case only: rename"):
        loaded(root)


def test_names_that_differ_in_normalization_are_one_class(tree):
    """macOS stores decomposed names; a copy from there may be mixed with other files."""
    root = tree({COMPOSED: images(5), DECOMPOSED: images(7, seed=1), "tea": images(6, seed=2)})
    data = loaded(root)
    assert data.class_names == (COMPOSED, "tea")
    assert len(data.train_labels) + len(data.test_labels) == 18
    assert "are one class: their names differ in Unicode normalization only" in data.notes[0]


def test_names_that_differ_in_case_are_separate_classes_with_a_note(tree):
    """Such as images of the letters A and a."""
    data = loaded(tree({"A": images(5), "a": images(5, seed=1)}))
    assert data.class_names == ("A", "a")
    assert "differ in case only, and are separate classes" in data.notes[0]


def test_a_copy_with_other_normalization_has_the_same_fingerprint(tree):
    root = tree({f"{COMPOSED}a": images(5), f"{COMPOSED}z": images(6, 1), "cafz": images(5, 2)})
    before = fingerprint(loaded(root))
    for name in ("a", "z"):
        (root / f"{COMPOSED}{name}").rename(root / f"{DECOMPOSED}{name}")
    assert fingerprint(loaded(root)) == before


def test_parts_match_across_normalization(tree):
    root = tree({f"train/{COMPOSED}": images(4), "train/tea": images(4),
                 f"test/{DECOMPOSED}": images(2), "test/tea": images(2)})  # fmt: skip
    assert loaded(root).class_names == (COMPOSED, "tea")


def test_the_file_order_of_a_class_does_not_depend_on_normalization(tree):
    root = tree({"a": [], "b": images(5)})
    for number, name in enumerate((f"{COMPOSED}.png", "cafz.png", "cafb.png", "cafa.png")):
        Image.fromarray(images(1, seed=number)[0]).save(root / "a" / name)
    before = fingerprint(loaded(root))
    (root / "a" / f"{COMPOSED}.png").rename(root / "a" / f"{DECOMPOSED}.png")
    assert fingerprint(loaded(root)) == before


def make_unusual(kind: str, path: Path) -> None:
    match kind:
        case "broken link":
            path.symlink_to(path.parent / "gone.png")
        case "link to itself":
            path.symlink_to(path)
        case "named pipe":
            os.mkfifo(path)


@pytest.mark.parametrize("kind", ["broken link", "link to itself", "named pipe"])
def test_an_entry_that_is_no_file_is_an_image_that_cannot_be_used(tree, kind):
    root = tree({"a": images(6), "b": images(6, seed=1)})
    make_unusual(kind, root / "a" / "z.png")
    with pytest.raises(DataError, match=r"1 of 13 images cannot be used: .*/a/z.png is not a"):
        loaded(root)
    assert "left out: 1 of 13" in loaded(root, skip_broken=True).notes[0]
    with pytest.raises(DataError, match=r"/a/z.png is not a"):
        read_all([root / "a" / "z.png"], (1, 8, 8))


@pytest.mark.parametrize("kind", ["broken link", "link to itself"])
@pytest.mark.parametrize("where", ["c", "train/c", "valid"])
def test_a_directory_that_is_a_broken_link_is_not_passed_over(tree, where, kind):
    root = tree({f"{part}/{name}": images(3) for part in ("train", "test") for name in "ab"})
    make_unusual(kind, root / where)
    with pytest.raises(DataError, match=f"{root / where} is a broken link; restore"):
        loaded(root)


@pytest.mark.parametrize("target", [".", "..", "../..", "../../a/deep"])
def test_a_link_to_a_directory_that_contains_it_is_refused(tree, target):
    root = tree({"a/deep": images(6), "b": images(6, seed=1)})
    for name in ("one", "two"):  # with two, the number of paths would be exponential
        (root / "a" / "deep" / name).symlink_to(target)
    with pytest.raises(DataError, match="a/deep/one is a link to a directory that contains it"):
        loaded(root)


def test_a_class_directory_with_an_extension_is_not_an_image(tree):
    root = tree({"a.jpg": images(6), "b.png": images(6, seed=1)})
    assert loaded(root).class_names == ("a.jpg", "b.png")
    assert loaded(root).notes == ()


@pytest.mark.parametrize("name", ["test", "Testing"])
def test_a_test_directory_without_classes_is_named(tree, name):
    root = write(tree, train=4)
    tree({name: images(3)})
    with pytest.raises(DataError, match=rf"has train/ but no test/ \(no classes in {name}/\)"):
        loaded(root)


def test_a_class_with_the_name_of_a_part(tree):
    assert loaded(tree({"test": images(4), "control": images(4, seed=1)})).notes == ()
    data = loaded(tree({"test/deep": images(4)}))
    assert data.class_names == ("control", "test")
    assert data.notes == ("test/ is used as a class, since there is no train/",)


@pytest.mark.parametrize("name", ["x" * 300, "/".join(["x" * 200] * 30)])
def test_a_path_that_is_too_long_is_an_error_in_one_line(name):
    with pytest.raises(DataError, match="cannot be (read|resolved)|does not exist"):
        loaded(Path(f"/{name}"))


def test_a_path_with_a_null_character_is_refused():
    with pytest.raises(DataError, match="cannot be resolved"):
        loaded(Path("/a\0b"))
