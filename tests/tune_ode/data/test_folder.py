"""Image folders: the documented rules, and errors that name invalid folders."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tune_ode.config import DataConfig
from tune_ode.data import ImageData, absolute_dataset, load, read_image
from tune_ode.errors import DataError


def flat(value: int, side: int = 12, colour: bool = True) -> np.ndarray:
    """Return pixels of one value, except for the last row, since constant images are rejected."""
    pixels = np.full((side, side, 3) if colour else (side, side), value, dtype=np.uint8)
    pixels[-1] = 255 - value
    return pixels


def several(count: int, start: int = 0, **form) -> list[np.ndarray]:
    return [flat(start + number, **form) for number in range(count)]


def load_folder(root: Path) -> ImageData:
    return load(DataConfig(dataset=f"folder:{root}"))


def error_message(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        load_folder(root)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_train_and_test_folders_are_kept_apart(tree):
    train = {"train/cat": several(4, 10), "train/dog": several(3, 20)}
    root = tree(train | {"test/cat": several(2, 30), "test/dog": several(1, 40)})
    data = load_folder(root)
    assert data.class_names == ("cat", "dog")
    assert data.shape == (3, 12, 12)
    assert data.train_labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert data.train_images[:, 0, 0, 0].tolist() == [10, 11, 12, 13, 20, 21, 22]
    assert data.test_labels.tolist() == [0, 0, 1]
    assert data.test_images[:, 2, 5, 5].tolist() == [30, 31, 40]


def test_without_parts_a_stratified_fifth_is_the_test_set(tree):
    root = tree({"cat": several(20, 0), "dog": several(10, 100)})
    data = load_folder(root)
    assert np.bincount(data.test_labels).tolist() == [4, 2]
    assert np.bincount(data.train_labels).tolist() == [16, 8]
    values = [*data.train_images[:, 0, 0, 0], *data.test_images[:, 0, 0, 0]]
    assert sorted(values) == [*range(20), *range(100, 110)]
    assert (data.test_images[:, 0, 0, 0] >= 100).tolist() == data.test_labels.astype(bool).tolist()


def test_subdirectories_are_read_and_other_files_counted(tree):
    root = tree({"a": several(3), "b/deeper": several(3, 50), ".cache": several(3)})
    for name in ("._000.png", "notes.txt", "phone.HEIC", "other.heic", "LICENSE"):
        (root / "a" / name).write_bytes(b"no image")
    Image.fromarray(flat(7)).save(root / "loose.png")
    (root / "a" / "000.png").rename(root / "a" / "000.PNG")
    data = load_folder(root)
    assert data.class_names == ("a", "b")
    assert len(data.train_images) + len(data.test_images) == 6
    assert data.notes == (
        "passed over: 2 .heic, 1 hidden, 1 without an extension, 1 .txt, 1 in no class directory",
    )
    (root / "a" / "another.heic").touch()
    assert "3 .heic" in load_folder(root).notes[0]


@pytest.mark.parametrize(
    ("suffix", "form"), {"jfif": "jpeg", "jpe": "jpeg", "gif": "gif", "pbm": "ppm"}.items()
)
def test_every_format_of_pillow_is_read(tree, suffix, form):
    """Of an animation, the first frame."""
    root = tree({"a": several(3), "b": several(2)})
    frames = [Image.fromarray(flat(value)).convert("1") for value in (255, 0)]
    options = {"save_all": True, "append_images": frames[1:]} if form == "gif" else {}
    frames[0].save(root / "b" / f"0.{suffix}", form, **options)
    data = load_folder(root)
    assert data.notes == ()
    every = np.concatenate([data.train_images, data.test_images])
    assert (every[:, 0, 0, 0] == 255).sum() == 1


@pytest.mark.parametrize(
    ("constant", "what"),
    [(("a", "b"), "the images of 'folder:"), (("b",), "the images of class 'b' of 'folder:")],
)
def test_images_without_content_are_rejected(tree, constant, what):
    """Such as black drawings on a transparent ground that is shown black."""
    root = tree({"a": several(4), "b": several(4)})
    for name in constant:
        for number in range(4):
            Image.fromarray(np.full((12, 12), number, np.uint8)).save(
                root / name / f"00{number}.png"
            )
    message = error_message(root)
    assert message.startswith(what)
    assert "--fix data.background" in message


def test_only_grey_files_give_one_channel(tree):
    root = tree({"a": several(4, colour=False), "b": several(4, 9, colour=False)})
    assert load_folder(root).shape == (1, 12, 12)
    Image.fromarray(flat(200)).save(root / "b" / "colour.png")
    assert load_folder(root).shape == (3, 12, 12)


def test_16_bit_grey_keeps_the_high_byte(tree):
    root = tree({"a": several(3, colour=False), "b": several(3, colour=False)})
    Image.fromarray(np.full((12, 12), 200 << 8, dtype=np.uint16)).save(root / "a" / "deep.png")
    data = load_folder(root)
    assert data.shape == (1, 12, 12)
    assert 200 in {*data.train_images[:, 0, 0, 0], *data.test_images[:, 0, 0, 0]}


def test_images_are_resized_and_cropped_to_the_common_side(tree):
    root = tree({"a": several(3, side=16), "b": several(3, side=16)})
    wide = np.zeros((16, 40, 3), dtype=np.uint8)
    wide[:, 12:28] = 255  # the center square
    tall = np.zeros((64, 32, 3), dtype=np.uint8)
    tall[16:32], tall[32:48] = 255, 100  # the halves of the center square after resizing
    Image.fromarray(wide).save(root / "a" / "wide.png")
    Image.fromarray(tall).save(root / "b" / "tall.png")
    data = load_folder(root)
    assert data.shape == (3, 16, 16)
    assert (read_image(root / "a" / "wide.png", data.shape) == 255).all()
    halves = read_image(root / "b" / "tall.png", data.shape)[0]
    assert (halves[2:6] == 255).all()
    assert (halves[10:14] == 100).all()


def test_the_first_image_does_not_determine_the_size(tree):
    root = tree({"a": [flat(7, side=30), *several(4, side=10)], "b": several(4, side=10)})
    assert load_folder(root).shape == (3, 10, 10)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_large_images_are_resized_to_64_pixels(tree, suffix):
    root = tree({"a": [], "b": []})
    photo = np.zeros((300, 600, 3), dtype=np.uint8)
    photo[:, 300:] = 200
    for name in ("a/0", "a/1", "a/2", "b/0", "b/1", "b/2"):
        Image.fromarray(photo).save(root / f"{name}.{suffix}")
    data = load_folder(root)
    assert data.shape == (3, 64, 64)
    assert (data.train_images[..., 2:30] < 6).all()
    assert (abs(data.train_images[..., 34:62].astype(int) - 200) < 6).all()


def test_resizing_agrees_with_torchvision(tmp_path):
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional

    pixels = np.random.default_rng(0).integers(0, 256, (48, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    resized = functional.resize(
        Image.fromarray(pixels), [32], interpolation=InterpolationMode.BICUBIC
    )
    expected = np.asarray(functional.center_crop(resized, [32, 32])).transpose(2, 0, 1)
    assert np.array_equal(read_image(tmp_path / "noise.png", (3, 32, 32)), expected)


@pytest.mark.parametrize("mode", ["P", "1"])
def test_palettes_and_bitmaps_are_interpolated(tmp_path, mode):
    """With the nearest pixel the stripes would become black or white instead of grey."""
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (32, 16))
    Image.fromarray(stripes).convert(mode).save(tmp_path / "stripes.png")
    assert (abs(read_image(tmp_path / "stripes.png", (3, 16, 16)).astype(int) - 128) < 40).all()


def test_relative_and_home_paths_are_resolved(tree, monkeypatch):
    root = tree({"a": several(3), "b": several(3, 50)})
    monkeypatch.chdir(root.parent)
    monkeypatch.setenv("HOME", str(root.parent))
    expected = load_folder(root).train_images
    for path in ("images", "~/images", "./images/../images"):
        assert np.array_equal(load_folder(Path(path)).train_images, expected)
        assert absolute_dataset(f"folder:{path}") == f"folder:{root}"
    assert absolute_dataset("mnist") == "mnist"


def test_a_changed_folder_is_read_again(tree, cache_root):
    root = tree({"a": several(3), "b": several(3, 50)})
    assert load_folder(root) is load_folder(root)
    Image.fromarray(flat(99)).save(root / "a" / "one more.png")
    grown = load_folder(root)
    assert len(grown.train_images) + len(grown.test_images) == 7
    Image.fromarray(flat(77)).save(root / "a" / "one more.png")
    os.utime(root / "a" / "one more.png", ns=(1, 1))
    changed = load_folder(root)
    assert 77 in {*changed.train_images[:, 0, 0, 0], *changed.test_images[:, 0, 0, 0]}


def test_a_file_instead_of_a_folder(tmp_path):
    (tmp_path / "file").touch()
    assert "is a file" in error_message(tmp_path / "file")


@pytest.mark.parametrize(
    ("counts", "parts"),
    [
        ({}, ["{root} does not exist"]),
        ({"": 0}, ["contains no class directories"]),
        ({"a": 0, "b": 0}, ["contains no images; they must end in .jpg"]),
        ({"cat": 5}, ["only one class, 'cat'"]),
        ({"cat": 5, "dog": 2}, ["class 'dog'", "has 2 images and needs at least 3"]),
        ({"train/a": 2, "train/b": 1, "test/a": 2, "test/b": 2}, ["class 'b'", "has 1 image and"]),
        (
            {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 0},
            ["class 'b' in {root}/test has no images"],
        ),
        (
            {"train/a": 2, "train/b": 2, "test/a": 1, "test/c": 1},
            ["'b' is only in train/", "'c' is only in test/"],
        ),
    ],
)
def test_an_invalid_folder_is_rejected_with_the_reason(tree, counts, parts):
    root = tree({name: several(count) for name, count in counts.items()})
    message = error_message(root)
    for part in parts:
        assert part.format(root=root) in message


def test_train_without_test(tree):
    root = tree({"train/a": several(3), "train/b": several(3)})
    message = error_message(root)
    assert "has train/ but no test/" in message
    assert f"folder:{root / 'train'}" in message
    assert load_folder(root / "train").classes == 2


def break_images(root: Path) -> list[Path]:
    """Write an empty, a foreign and a truncated file, and one that is too small."""
    names = ("a/001.png", "b/000.png", "b/001.png", "b/002.png")
    empty, foreign, half, tiny = files = [root / name for name in names]
    empty.write_bytes(b"")
    foreign.write_bytes(b"no image")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).save(half)
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    Image.fromarray(flat(0, side=5)).save(tiny)
    return files


def test_unusable_images_are_all_named(tree, cache_root):
    root = tree({"a": several(6, side=32), "b": several(6, 9, side=32)})
    *corrupt, tiny = break_images(root)
    message = error_message(root)
    assert message.startswith("4 of 12 images cannot be used: ")
    for file in corrupt:
        assert f"{file} is not a readable image (" in message
    assert f"{tiny} is 5×5 pixels (at least 8" in message
    assert message.endswith(
        "remove or convert them, or leave them out of a new run with --skip-broken"
    )
    assert [path.suffix for path in cache_root.iterdir()] == [".lock"]


def test_of_many_unusable_images_the_first_20_are_named(tree):
    root = tree({"a": several(40, side=5), "b": several(40)})
    message = error_message(root)
    assert message.startswith("40 of 80 images cannot be used: ")
    assert message.count(" is 5×5 pixels") == 20


@pytest.mark.parametrize("parts", [[""], ["train/", "test/"]])
def test_unusable_images_can_be_left_out(tree, parts):
    classes = {"a": several(6, side=32), "b": several(6, 9, side=32)}
    root = tree({part + name: images for part in parts for name, images in classes.items()})
    files = break_images(root / parts[-1])
    data = load(DataConfig(dataset=f"folder:{root}", skip_broken=True))
    labels = np.concatenate([data.train_labels, data.test_labels])
    assert np.bincount(labels).tolist() == [6 * len(parts) - 1, 6 * len(parts) - 3]
    assert data.notes[0].startswith(f"left out: 4 of {12 * len(parts)} images cannot be used: ")
    for file in files:
        file.unlink()
    assert np.array_equal(load_folder(root).train_images, data.train_images)


def test_a_class_that_is_too_small_without_its_unusable_images_is_rejected(tree):
    root = tree({"a": several(6, side=32), "b": several(5, 9, side=32)})
    break_images(root)
    with pytest.raises(DataError, match=r"class 'b' in .* has 2 images and needs at least 3"):
        load(DataConfig(dataset=f"folder:{root}", skip_broken=True))
