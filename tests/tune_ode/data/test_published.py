"""Published data sets, generated in their documented layouts (no real one but MNIST is read).

Checksums stay in force: the tests give torchvision's classes those of the generated files.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from tune_ode.config import DataConfig
from tune_ode.data import load
from tune_ode.data.sources import tiny_imagenet
from tune_ode.errors import DataError

TRAIN, TEST = 20, 10
"""Images; each class of ten appears twice and once."""


@dataclass
class Set:
    """A generated data set: what is published, and what must come out of it."""

    files: dict[str, bytes]
    """Archives by their paths under the data folder."""
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    class_names: tuple[str, ...]
    unpacked: str
    """A file that reading needs, once unpacked."""
    exact: bool = True
    """False where JPEG files blur the pixels."""


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def arrays(*shape: int) -> list[tuple[np.ndarray, np.ndarray]]:
    numbers = np.random.default_rng(len(shape))
    return [
        (numbers.integers(0, 256, (count, *shape), np.uint8), np.arange(count, dtype=np.int64) % 10)
        for count in (TRAIN, TEST)
    ]


def idx(name: str, monkeypatch: pytest.MonkeyPatch, mirror: str) -> Set:
    """IDX files: magic number, sizes (big-endian int32), bytes; compressed with gzip."""
    train, test = arrays(1, 28, 28)
    files, resources = {}, []
    for part, (images, labels) in (("train", train), ("t10k", test)):
        for kind, array in (("images-idx3", images[:, 0]), ("labels-idx1", labels)):
            head = np.array([0x800 + array.ndim, *array.shape], dtype=">i4").tobytes()
            path = f"{name}/raw/{part}-{kind}-ubyte.gz"
            files[path] = gzip.compress(head + array.astype(np.uint8).tobytes())
            resources.append((Path(path).name, md5(files[path])))
    kind = getattr(datasets, name)
    monkeypatch.setattr(kind, "resources", resources)
    monkeypatch.setattr(kind, "mirrors", [f"{mirror}/gone/", f"{mirror}/{name}/raw/"])
    names = tuple("0123456789") if name == "MNIST" else tuple(kind.classes)
    return Set(files, train, test, names, f"{name}/raw/t10k-labels-idx1-ubyte")


def cifar(name: str, monkeypatch: pytest.MonkeyPatch, mirror: str) -> Set:
    """A tar.gz of pickled dictionaries; rows of `data` are the planes R, G, B."""
    kind = getattr(datasets, name)
    train, test = arrays(3, 32, 32)
    key = "labels" if name == "CIFAR10" else "fine_labels"
    names = tuple(f"name {label}" for label in range(10))
    members = {kind.meta["filename"]: {kind.meta["key"]: list(names)}}
    batches = len(kind.train_list)
    for (file, _), images, labels in zip(
        kind.train_list, np.split(train[0], batches), np.split(train[1], batches), strict=True
    ):
        members[file] = {"data": images.reshape(-1, 3072), key: labels.tolist()}
    members[kind.test_list[0][0]] = {"data": test[0].reshape(-1, 3072), key: test[1].tolist()}
    contents = {file: pickle.dumps(value, protocol=2) for file, value in members.items()}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for file, content in contents.items():
            member = tarfile.TarInfo(f"{kind.base_folder}/{file}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    for part in ("train_list", "test_list"):
        checked = [[file, md5(contents[file])] for file, _ in getattr(kind, part)]
        monkeypatch.setattr(kind, part, checked)
    meta = {**kind.meta, "md5": md5(contents[kind.meta["filename"]])}
    monkeypatch.setattr(kind, "meta", meta)
    monkeypatch.setattr(kind, "tgz_md5", md5(packed.getvalue()))
    monkeypatch.setattr(kind, "url", f"{mirror}/{kind.filename}")
    files = {kind.filename: packed.getvalue()}
    return Set(files, train, test, names, f"{kind.base_folder}/{kind.test_list[0][0]}")


def svhn(_: str, monkeypatch: pytest.MonkeyPatch, mirror: str) -> Set:
    """MATLAB files: X (32, 32, 3, N), y (N, 1) from 1 to 10, where 10 is the digit 0."""
    parts, files, published = arrays(3, 32, 32), {}, {}
    for part, (images, labels) in zip(("train", "test"), parts, strict=True):
        path, content = f"{part}_32x32.mat", io.BytesIO()
        written = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
        savemat(content, {"X": images.transpose(2, 3, 1, 0), "y": written})
        files[path] = content.getvalue()
        published[part] = [f"{mirror}/{path}", path, md5(files[path])]
    monkeypatch.setattr(datasets.SVHN, "split_list", published)
    return Set(files, *parts, tuple("0123456789"), "test_32x32.mat")


def tiny(_: str, monkeypatch: pytest.MonkeyPatch, mirror: str) -> Set:
    """A zip of JPEG files: training images by class, validation images with a list."""
    grey_levels = np.arange(TRAIN + TEST, dtype=np.uint8) * 8
    images = np.broadcast_to(grey_levels[:, None, None, None], (TRAIN + TEST, 3, 64, 64))
    ids = [f"n{number:08}" for number in range(10)]
    label = np.arange(TEST) % 10
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:

        def add(path: str, content: str | np.ndarray) -> None:
            if isinstance(content, str):
                archive.writestr(f"tiny-imagenet-200/{path}", content)
                return
            jpeg = io.BytesIO()
            Image.fromarray(content.transpose(1, 2, 0)).save(jpeg, "JPEG")
            archive.writestr(f"tiny-imagenet-200/{path}", jpeg.getvalue())

        add("wnids.txt", "\n".join(reversed(ids)))  # as published, not sorted
        words = [f"{each}\tname {place}, other name" for place, each in enumerate(ids)]
        add("words.txt", "\n".join([*words, "n99999999\tnone of these"]))
        for place in range(TRAIN):
            each = ids[place // 2]
            add(f"train/{each}/images/{each}_{place % 2}.JPEG", images[place])
        for each in ids:
            add(f"train/{each}/{each}_boxes.txt", f"{each}_0.JPEG\t0\t0\t10\t10")
        for place in range(TEST):
            add(f"val/images/val_{place}.JPEG", images[TRAIN + place])
        lines = [f"val_{place}.JPEG\t{ids[label[place]]}\t0\t0\t9\t9" for place in range(TEST)]
        add("val/val_annotations.txt", "\n".join(lines) + "\n")
        add("test/images/test_0.JPEG", images[0])
    content = packed.getvalue()
    url = f"{mirror}/tiny-imagenet-200.zip"
    archive = replace(tiny_imagenet.ARCHIVE, md5=md5(content), urls=(url,))
    monkeypatch.setattr(tiny_imagenet, "ARCHIVE", archive)
    return Set(
        {"tiny-imagenet-200.zip": content},
        (images[:TRAIN], np.arange(TRAIN) // 2),
        (images[TRAIN:], label),
        tuple(f"name {place}" for place in range(10)),
        "tiny-imagenet-200/val/val_annotations.txt",
        exact=False,
    )


MAKERS: dict[str, tuple[Callable[..., Set], str]] = {
    "mnist": (idx, "MNIST"),
    "fashion-mnist": (idx, "FashionMNIST"),
    "cifar10": (cifar, "CIFAR10"),
    "cifar100": (cifar, "CIFAR100"),
    "svhn": (svhn, ""),
    "tiny-imagenet": (tiny, ""),
}


@pytest.fixture(params=MAKERS)
def published(request, monkeypatch, web) -> tuple[str, Set]:
    make, kind = MAKERS[request.param]
    made = make(kind, monkeypatch, web.address)
    web.files = dict(made.files)
    return request.param, made


def assert_read(dataset: str, made: Set, data_dir: Path) -> None:
    data = load(DataConfig(dataset=dataset), data_dir)
    assert data.class_names == made.class_names
    for images, labels, (expected, expected_labels) in (
        (data.train_images, data.train_labels, made.train),
        (data.test_images, data.test_labels, made.test),
    ):
        assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
        assert images.flags.c_contiguous
        assert labels.tolist() == expected_labels.tolist()
        assert images.shape == expected.shape
        difference = abs(images.astype(int) - expected)
        assert difference.max() <= (0 if made.exact else 2)


def put(files: dict[str, bytes], data_dir: Path) -> None:
    for path, content in files.items():
        (data_dir / path).parent.mkdir(parents=True, exist_ok=True)
        (data_dir / path).write_bytes(content)


def test_is_downloaded_unpacked_and_read(published, tmp_path, web, capfd):
    dataset, made = published
    data_dir = tmp_path / "new folder"
    assert_read(dataset, made, data_dir)
    assert len([path for path in web.requests if "gone" not in path]) == len(made.files)
    assert not [path for path in data_dir.iterdir() if path.suffix == ".partial"]
    output = capfd.readouterr()
    assert output.out == output.err == ""


def test_archive_put_there_by_hand_needs_no_network(published, tmp_path, web):
    dataset, made = published
    put(made.files, tmp_path / "data")
    assert_read(dataset, made, tmp_path / "data")
    assert web.requests == []


def test_archive_with_another_checksum_is_not_unpacked(published, tmp_path, web):
    """Neither a half one on disk nor a changed one on the network; nothing is left behind."""
    dataset, made = published
    half = {path: content[: len(content) // 2] for path, content in made.files.items()}
    if made.unpacked not in made.files:  # SVHN's files are read as they are
        put(half, tmp_path)
    web.files = {path: content + b"changed" for path, content in made.files.items()}
    with pytest.raises(DataError, match="MD5"):
        load(DataConfig(dataset=dataset), tmp_path)
    assert not (tmp_path / made.unpacked).exists()


def test_damaged_files_are_refused_with_the_remedy(published, tmp_path, monkeypatch):
    dataset, made = published
    put(made.files, tmp_path)
    if made.unpacked not in made.files:
        assert_read(dataset, made, tmp_path)  # unpacks
    content = (tmp_path / made.unpacked).read_bytes()
    (tmp_path / made.unpacked).write_bytes(content[: len(content) // 2])
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "another cache"))
    with pytest.raises(DataError, match=r"(damaged|not whole).* remove") as caught:
        load(DataConfig(dataset=dataset), tmp_path)
    assert "\n" not in str(caught.value)


def test_tiny_imagenet_half_unpacked_is_refused(monkeypatch, tmp_path, web):
    put(tiny("", monkeypatch, web.address).files, tmp_path)
    with zipfile.ZipFile(tmp_path / "tiny-imagenet-200.zip") as archive:
        archive.extractall(tmp_path)
    next((tmp_path / "tiny-imagenet-200" / "train" / "n00000003" / "images").iterdir()).unlink()
    with pytest.raises(DataError, match="train has 1 to 2 images a class"):
        load(DataConfig(dataset="tiny-imagenet"), tmp_path)


def test_real_mnist(real_data):
    data = load(DataConfig(dataset="mnist"), real_data)
    assert data.train_images.shape == (60_000, 1, 28, 28)
    assert data.test_images.shape == (10_000, 1, 28, 28)
    assert data.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    mean = np.asarray(data.train_images, dtype=np.float64).mean() / 255
    assert abs(mean - 0.1307) < 5e-5


@pytest.mark.long
def test_real_cifar10_folder(real_data):
    data = load(DataConfig(dataset=f"folder:{real_data / 'cifar10'}"))
    assert data.train_images.shape == (50_000, 3, 32, 32)
    assert data.test_images.shape == (10_000, 3, 32, 32)
    assert data.class_names[0] == "airplane"
    assert np.bincount(data.train_labels).tolist() == [5_000] * 10
    means = data.train_images[::10].mean((0, 2, 3)) / 255
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=5e-3)
