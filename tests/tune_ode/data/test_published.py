"""Published data sets, generated in their documented layouts, and real MNIST.

Checksums are verified: the tests set those of torchvision's classes to the generated files.
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
"""Numbers of images; each of ten classes appears twice and once."""


@dataclass
class Generated:
    """A generated data set: its published files and the expected result."""

    files: dict[str, bytes]
    """Archives by path relative to the data directory."""
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    class_names: tuple[str, ...]
    unpacked: str
    """An unpacked file that reading needs."""
    exact: bool = True
    """False with lossy JPEG files."""


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def arrays(*shape: int) -> list[tuple[np.ndarray, np.ndarray]]:
    numbers = np.random.default_rng(len(shape))
    return [
        (numbers.integers(0, 256, (count, *shape), np.uint8), np.arange(count, dtype=np.int64) % 10)
        for count in (TRAIN, TEST)
    ]


def idx(name: str, monkeypatch: pytest.MonkeyPatch, mirror: str) -> Generated:
    """IDX files: magic number, sizes (big-endian int32), bytes; compressed with gzip."""
    train, test = arrays(1, 28, 28)
    files, resources = {}, []
    for part, (images, labels) in (("train", train), ("t10k", test)):
        for cls, array in (("images-idx3", images[:, 0]), ("labels-idx1", labels)):
            head = np.array([0x800 + array.ndim, *array.shape], dtype=">i4").tobytes()
            path = f"{name}/raw/{part}-{cls}-ubyte.gz"
            files[path] = gzip.compress(head + array.astype(np.uint8).tobytes())
            resources.append((Path(path).name, md5(files[path])))
    cls = getattr(datasets, name)
    monkeypatch.setattr(cls, "resources", resources)
    monkeypatch.setattr(cls, "mirrors", [f"{mirror}/gone/", f"{mirror}/{name}/raw/"])
    names = tuple("0123456789") if name == "MNIST" else tuple(cls.classes)
    return Generated(files, train, test, names, f"{name}/raw/t10k-labels-idx1-ubyte")


def cifar(name: str, monkeypatch: pytest.MonkeyPatch, mirror: str) -> Generated:
    """A tar.gz of pickled dictionaries; rows of `data` are the planes R, G, B."""
    cls = getattr(datasets, name)
    train, test = arrays(3, 32, 32)
    key = "labels" if name == "CIFAR10" else "fine_labels"
    names = tuple(f"name {label}" for label in range(10))
    members = {cls.meta["filename"]: {cls.meta["key"]: list(names)}}
    batches = len(cls.train_list)
    for (file, _), images, labels in zip(
        cls.train_list, np.split(train[0], batches), np.split(train[1], batches), strict=True
    ):
        members[file] = {"data": images.reshape(-1, 3072), key: labels.tolist()}
    members[cls.test_list[0][0]] = {"data": test[0].reshape(-1, 3072), key: test[1].tolist()}
    contents = {file: pickle.dumps(value, protocol=2) for file, value in members.items()}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for file, content in contents.items():
            member = tarfile.TarInfo(f"{cls.base_folder}/{file}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    for part in ("train_list", "test_list"):
        checked = [[file, md5(contents[file])] for file, _ in getattr(cls, part)]
        monkeypatch.setattr(cls, part, checked)
    meta = {**cls.meta, "md5": md5(contents[cls.meta["filename"]])}
    monkeypatch.setattr(cls, "meta", meta)
    monkeypatch.setattr(cls, "tgz_md5", md5(packed.getvalue()))
    monkeypatch.setattr(cls, "url", f"{mirror}/{cls.filename}")
    files = {cls.filename: packed.getvalue()}
    return Generated(files, train, test, names, f"{cls.base_folder}/{cls.test_list[0][0]}")


def svhn(_: str, monkeypatch: pytest.MonkeyPatch, mirror: str) -> Generated:
    """MATLAB files: X (32, 32, 3, N), y (N, 1) from 1 to 10, where 10 is the digit 0."""
    parts, files, published = arrays(3, 32, 32), {}, {}
    for part, (images, labels) in zip(("train", "test"), parts, strict=True):
        path, content = f"{part}_32x32.mat", io.BytesIO()
        written = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
        savemat(content, {"X": images.transpose(2, 3, 1, 0), "y": written})
        files[path] = content.getvalue()
        published[part] = [f"{mirror}/{path}", path, md5(files[path])]
    monkeypatch.setattr(datasets.SVHN, "split_list", published)
    return Generated(files, *parts, tuple("0123456789"), "test_32x32.mat")


def tiny(_: str, monkeypatch: pytest.MonkeyPatch, mirror: str) -> Generated:
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
        words = [f"{class_id}\tname {index}, other name" for index, class_id in enumerate(ids)]
        add("words.txt", "\n".join([*words, "n99999999\tnone of these"]))
        for index in range(TRAIN):
            class_id = ids[index // 2]
            add(f"train/{class_id}/images/{class_id}_{index % 2}.JPEG", images[index])
        for class_id in ids:
            add(f"train/{class_id}/{class_id}_boxes.txt", f"{class_id}_0.JPEG\t0\t0\t10\t10")
        for index in range(TEST):
            add(f"val/images/val_{index}.JPEG", images[TRAIN + index])
        lines = [f"val_{index}.JPEG\t{ids[label[index]]}\t0\t0\t9\t9" for index in range(TEST)]
        add("val/val_annotations.txt", "\n".join(lines) + "\n")
        add("test/images/test_0.JPEG", images[0])
    content = packed.getvalue()
    url = f"{mirror}/tiny-imagenet-200.zip"
    archive = replace(tiny_imagenet.ARCHIVE, md5=md5(content), urls=(url,))
    monkeypatch.setattr(tiny_imagenet, "ARCHIVE", archive)
    return Generated(
        {"tiny-imagenet-200.zip": content},
        (images[:TRAIN], np.arange(TRAIN) // 2),
        (images[TRAIN:], label),
        tuple(f"name {index}" for index in range(10)),
        "tiny-imagenet-200/val/val_annotations.txt",
        exact=False,
    )


MAKERS: dict[str, tuple[Callable[..., Generated], str]] = {
    "mnist": (idx, "MNIST"),
    "fashion-mnist": (idx, "FashionMNIST"),
    "cifar10": (cifar, "CIFAR10"),
    "cifar100": (cifar, "CIFAR100"),
    "svhn": (svhn, ""),
    "tiny-imagenet": (tiny, ""),
}


@pytest.fixture(params=MAKERS)
def published(request, monkeypatch, web) -> tuple[str, Generated]:
    make, cls = MAKERS[request.param]
    generated = make(cls, monkeypatch, web.address)
    web.files = dict(generated.files)
    return request.param, generated


def assert_read(dataset: str, generated: Generated, data_dir: Path) -> None:
    data = load(DataConfig(dataset=dataset), data_dir)
    assert data.class_names == generated.class_names
    for images, labels, (expected, expected_labels) in (
        (data.train_images, data.train_labels, generated.train),
        (data.test_images, data.test_labels, generated.test),
    ):
        assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
        assert images.flags.c_contiguous
        assert labels.tolist() == expected_labels.tolist()
        assert images.shape == expected.shape
        difference = abs(images.astype(int) - expected)
        assert difference.max() <= (0 if generated.exact else 2)


def put(files: dict[str, bytes], data_dir: Path) -> None:
    for path, content in files.items():
        (data_dir / path).parent.mkdir(parents=True, exist_ok=True)
        (data_dir / path).write_bytes(content)


def test_a_data_set_is_downloaded_unpacked_and_read(published, tmp_path, web, capfd):
    dataset, generated = published
    data_dir = tmp_path / "new folder"
    assert_read(dataset, generated, data_dir)
    assert len([path for path in web.requests if "gone" not in path]) == len(generated.files)
    assert not [path for path in data_dir.iterdir() if path.suffix == ".partial"]
    output = capfd.readouterr()
    assert output.out == output.err == ""


def test_an_existing_archive_needs_no_network(published, tmp_path, web):
    dataset, generated = published
    put(generated.files, tmp_path / "data")
    assert_read(dataset, generated, tmp_path / "data")
    assert web.requests == []


def test_an_archive_with_another_checksum_is_not_unpacked(published, tmp_path, web):
    """Neither a truncated one on disk nor a changed one on the network."""
    dataset, generated = published
    half = {path: content[: len(content) // 2] for path, content in generated.files.items()}
    if generated.unpacked not in generated.files:  # SVHN's files are not packed
        put(half, tmp_path)
    web.files = {path: content + b"changed" for path, content in generated.files.items()}
    with pytest.raises(DataError, match="MD5"):
        load(DataConfig(dataset=dataset), tmp_path)
    assert not (tmp_path / generated.unpacked).exists()


def test_damaged_files_are_rejected_with_the_remedy(published, tmp_path, monkeypatch):
    dataset, generated = published
    put(generated.files, tmp_path)
    if generated.unpacked not in generated.files:
        assert_read(dataset, generated, tmp_path)  # unpacks
    content = (tmp_path / generated.unpacked).read_bytes()
    (tmp_path / generated.unpacked).write_bytes(content[: len(content) // 2])
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "another cache"))
    with pytest.raises(DataError, match=r"(damaged|incomplete).* remove") as caught:
        load(DataConfig(dataset=dataset), tmp_path)
    assert "\n" not in str(caught.value)


def test_an_incompletely_unpacked_tiny_imagenet_is_rejected(monkeypatch, tmp_path, web):
    put(tiny("", monkeypatch, web.address).files, tmp_path)
    with zipfile.ZipFile(tmp_path / "tiny-imagenet-200.zip") as archive:
        archive.extractall(tmp_path)
    next((tmp_path / "tiny-imagenet-200" / "train" / "n00000003" / "images").iterdir()).unlink()
    with pytest.raises(DataError, match="train has 1 to 2 images per class"):
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
