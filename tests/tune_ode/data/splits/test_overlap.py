"""Duplicates and groups in two parts of a split: counted, with the remedy."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from tune_ode.config import DataConfig
from tune_ode.data import load, overlaps, split


def notes(root, **values):
    config = DataConfig(dataset=f"folder:{root}", **values)
    data = load(config)
    return overlaps(data, split(data, config), config)


def save_frames(root, names, groups=10, frames=8):
    """Write images of two classes: frames differ by noise, groups entirely."""
    random = np.random.default_rng(0)
    for part in ("train/cat", "train/dog", "test/cat", "test/dog"):
        for group in range(groups):
            scene = random.integers(30, 220, (8, 8))
            for frame in range(frames):
                pixels = scene + random.integers(-5, 6, scene.shape)
                file = root / part / names.format(group=f"{group:03}", frame=f"{frame:02}")
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(file)
    return root


@pytest.mark.parametrize(
    "names",
    [
        "{group}_{frame}.png",
        "scan-{group}-{frame}.png",
        "{group}/{frame}.png",
        "a.{group}.{frame}.png",
    ],
)
def test_frames_of_one_group_in_two_parts_are_found_and_the_remedy_works(tmp_path, names):
    root = save_frames(tmp_path / "images", names)
    (note,) = notes(root)
    assert "look grouped" in note
    pattern = re.search(r"--groups '(.+)'", note)[1]
    assert notes(root, groups=pattern) == []


@pytest.mark.parametrize("names", ["{group}{frame}.png", "image_{group}{frame}.png"])
def test_names_without_groups_are_not_examined(tmp_path, names):
    assert notes(save_frames(tmp_path / "images", names)) == []


def test_names_that_look_grouped_without_near_duplicates_are_fine(tmp_path):
    root = save_frames(tmp_path / "images", "{group}{frame}.png", groups=80, frames=1)
    for file in sorted(root.rglob("*.png")):
        number = int(file.stem)
        file.rename(file.with_name(f"{number // 800}_{number}.png"))
    assert notes(root) == []


def test_copies_in_two_parts_are_counted(tmp_path):
    root = save_frames(tmp_path / "images", "{group}{frame}.png")
    for number in range(40):
        name = f"{number // 8:03}{number % 8:02}.png"
        shutil.copy(root / "train/cat" / name, root / f"train/dog/copy{number}.png")
    for number in range(3):
        shutil.copy(root / f"train/dog/00{number}00.png", root / f"test/dog/copy{number}.png")
    (note,) = notes(root)
    found = re.match(r"(\d+) of 80 validation images and 3 of 163 test images are duplicates", note)
    assert 3 <= int(found[1]) <= 42


def test_groups_that_given_directories_divide_are_counted(tmp_path):
    root = save_frames(tmp_path / "images", "{group}_{frame}.png")
    (root / "valid").mkdir()
    for name in ("cat", "dog"):
        (root / "valid" / name).mkdir()
        for file in sorted((root / "train" / name).glob("00[0-2]_0[0-3].png")):
            file.rename(root / "valid" / name / file.name)
    assert notes(root, groups="(.+)_") == [
        "3 groups are in training and validation, 10 groups are in training and test, 3 groups are "
        "in validation and test images, as given by their directories"
    ]
    assert notes(root, groups=r"(\w+/\w+/.+)_") == []
    assert "split together" in notes(root, validation_fraction=0.1)[0]
