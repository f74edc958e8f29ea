"""The fingerprint of a data set: changes with its images, not with their location."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tune_ode.config import DataConfig
from tune_ode.data import ImageData, cache, fingerprint, load, require_unchanged
from tune_ode.errors import DataChanged


def pictures(count: int, size: int = 8, seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, size, size), np.uint8))


@pytest.fixture
def images(tree) -> Path:
    return tree({"cat": pictures(10), "dog": pictures(12, seed=1)})


def loaded(folder: Path) -> ImageData:
    return load(DataConfig(dataset=f"folder:{folder}"))


def save(path: Path, size: int = 8, seed: int = 7) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pictures(1, size, seed)[0]).save(path)


def add(root: Path) -> None:
    for number in range(16):
        save(root / "cat" / f"new{number}.png", seed=number + 100)


def exchange(root: Path) -> None:
    """One image more in a class, one less in the other: the total stays."""
    os.rename(root / "cat/000.png", root / "dog/cat.png")


def enlarge(root: Path) -> None:
    for file in sorted(root.rglob("*.png")):
        save(file, size=16)


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (add, ["22 images before, 38 now", "class 'cat' had 8 train + 2 test and has "]),
        (exchange, ["class 'cat' had", "class 'dog' had"]),
        (lambda root: (root / "dog/003.png").unlink(), ["22 images before, 21 now"]),
        (lambda root: save(root / "dog/003.png"), ["other pixels in class 'dog'"]),
        (lambda root: os.rename(root / "dog", root / "wolf"), ["'dog' is gone", "'wolf' is new"]),
        (lambda root: [save(root / f"fox/{n}.png", seed=n) for n in range(5)], ["'fox' is new"]),
        (enlarge, ["1×8×8 pixels before, 1×16×16 now"]),
    ],
)
def test_a_change_of_the_images_is_named(images, change, messages):
    before = fingerprint(loaded(images))
    change(images)
    with pytest.raises(DataChanged) as caught:
        require_unchanged(loaded(images), before, "runs/mine")
    for message in [*messages, "runs/mine", "restore them, or start a new run"]:
        assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_many_changes_are_summarized(tree):
    root = tree({f"class{number}": pictures(4, seed=number) for number in range(20)})
    before = fingerprint(loaded(root))
    for folder in root.iterdir():
        save(folder / "more.png")
    with pytest.raises(DataChanged, match="and 18 more changes"):
        require_unchanged(loaded(root), before, "runs/mine")


@pytest.mark.parametrize("how", ["move", "touch", "recompress"])
def test_the_same_images_at_another_place_or_time_are_unchanged(images, how, tmp_path):
    before = fingerprint(loaded(images))
    if how == "move":
        images = Path(shutil.move(images, tmp_path / "elsewhere"))
    for file in images.rglob("*.png"):
        if how == "touch":
            os.utime(file, (1, 1))
        elif how == "recompress":
            Image.open(file).save(file, compress_level=1)
    require_unchanged(loaded(images), before, "runs/mine")


def test_a_run_without_a_fingerprint_is_not_checked(images):
    require_unchanged(loaded(images), None, "runs/mine")


def test_it_survives_json_and_a_rebuilt_cache(images, cache_root, monkeypatch):
    import json

    before = json.loads(json.dumps(fingerprint(loaded(images))))
    shutil.rmtree(cache_root)
    monkeypatch.setattr(cache, "_OPENED", {})
    require_unchanged(loaded(images), before, "runs/mine")
