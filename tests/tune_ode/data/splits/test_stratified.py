"""Splits: exact, disjoint, stratified, with every class, and reproducible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_ode.config import DataConfig
from tune_ode.data.images import ImageData
from tune_ode.data.splits import chance_accuracy, hold_out_test
from tune_ode.data.splits import split as split_data
from tune_ode.data.splits.split import Split
from tune_ode.data.splits.stratified import apportion
from tune_ode.errors import DataError

examples = settings(max_examples=60, deadline=None)

class_sizes = st.lists(st.integers(3, 60), min_size=2, max_size=12)


def labels_of(sizes: list[int], seed: int = 0) -> np.ndarray:
    labels = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
    return np.random.default_rng(seed).permutation(labels)


def split(labels: np.ndarray, config: DataConfig, **values: object) -> Split:
    pixels = np.zeros((len(labels), 1, 8, 8), np.uint8)
    names = tuple(map(str, range(int(labels.max()) + 1)))
    data = ImageData("invented", names, pixels, labels, pixels[:1], labels[:1], **values)
    return split_data(data, config)


@examples
@given(class_sizes, st.floats(0.01, 0.99), st.integers(0, 2**40), st.data())
def test_parts_are_disjoint_and_exact_and_contain_every_class(sizes, fraction, seed, data):
    labels = labels_of(sizes)
    size = data.draw(st.none() | st.integers(max(10, 2 * len(sizes)), max(10, len(labels))))
    if size is not None and size > len(labels):
        return
    config = DataConfig(train_images=size, validation_fraction=fraction, split_seed=seed)
    parts = split(labels, config)

    used = np.concatenate([parts.train, parts.validation])
    assert len(np.unique(used)) == len(used) == (size or len(labels))
    assert used.min() >= 0
    assert used.max() < len(labels)
    assert parts.train.dtype == parts.validation.dtype == np.int64
    for part in (parts.train, parts.validation):
        assert (np.diff(part) > 0).all()
        assert set(labels[part]) == set(range(len(sizes)))
    # exact, unless covering every class in both parts requires otherwise
    requested = round(fraction * len(used))
    assert len(parts.validation) == min(max(requested, len(sizes)), len(used) - len(sizes))


@examples
@given(class_sizes, st.floats(0.01, 0.99))
def test_class_counts_are_within_one_of_proportional(sizes, fraction):
    labels = labels_of(sizes)
    held = split(labels, DataConfig(validation_fraction=fraction)).validation
    shares = np.array(sizes) * len(held) / len(labels)
    # with a share below one image, covering the class takes precedence
    if shares.min() >= 1 and (np.array(sizes) - shares).min() >= 1:
        assert (abs(np.bincount(labels[held]) - shares) < 1).all()


@pytest.mark.parametrize(
    ("images", "held_out"),
    [(100, 40), (1438, 575), (2500, 1000), (4000, 1000), (5000, 1000), (6000, 1200)],
)
def test_small_data_sets_hold_out_a_larger_share(images, held_out):
    """A ranking needs about 1,000 validation images; training keeps at least 0.6 of all."""
    labels = np.arange(images, dtype=np.int64) % 2
    assert len(split(labels, DataConfig()).validation) == held_out
    if images > 1438:
        assert len(split(labels, DataConfig(train_images=1438)).validation) == 575


@examples
@given(class_sizes, st.data())
def test_subset_is_within_one_of_proportional(sizes, data):
    labels = labels_of(sizes)
    size = data.draw(st.integers(max(10, 2 * len(sizes)), max(10, len(labels))))
    if size > len(labels):
        return
    parts = split(labels, DataConfig(train_images=size))
    counts = np.bincount(labels[np.concatenate([parts.train, parts.validation])])
    shares = np.array(sizes) * size / len(labels)
    if shares.min() >= 2:
        assert (abs(counts - shares) < 1).all()


@examples
@given(st.lists(st.integers(1, 50), min_size=1, max_size=10).map(np.array), st.integers(0, 500))
def test_apportion_is_the_method_of_largest_remainder(counts, total):
    total = min(total, int(counts.sum()))
    shares = apportion(counts, total, least=0, spare=0)
    quotas = [count * total / counts.sum() for count in counts]
    floors = np.floor(np.array(quotas) + 1e-9).astype(int)
    assert shares.sum() == total
    extra = shares - floors
    assert set(extra) <= {0, 1}
    remainders = np.array(quotas) - floors
    if 0 < extra.sum() < len(counts):
        assert remainders[extra == 1].min() >= remainders[extra == 0].max() - 1e-9


def test_splits_are_the_same_on_every_machine_and_version():
    """Recorded numbers: a change makes old and new runs incomparable."""
    labels = np.arange(60, dtype=np.int64) % 3
    parts = split(labels, DataConfig(train_images=30, validation_fraction=0.2, split_seed=7))
    assert parts.validation.tolist() == [3, 9, 10, 23, 31, 32]
    assert parts.train.tolist() == [
        2, 4, 5, 7, 12, 14, 15, 16, 22, 26, 30, 35,
        36, 37, 38, 42, 44, 45, 46, 48, 52, 56, 57, 58,
    ]  # fmt: skip


def test_only_the_seed_changes_the_split():
    labels = labels_of([40, 40, 40])

    def validation(**values: object) -> list[int]:
        return split(labels, DataConfig.from_dict(values)).validation.tolist()

    assert validation() == validation(mean=[0.5], std=[1.0], augmentation={"flip": True})
    assert validation() != validation(split_seed=1)


def test_classes_are_shuffled_independently():
    """Equal positions in every class would correlate the split with the order of the files."""
    labels = np.repeat(np.arange(10, dtype=np.int64), 50)
    held = split(labels, DataConfig()).validation
    assert len({tuple(held[labels[held] == label] % 50) for label in range(10)}) == 10


@pytest.mark.parametrize(
    ("sizes", "subset", "message"),
    [
        ([40, 40, 40], 500, "--train-images 500 is more than the 120 .* at most 120"),
        ([5] * 20, 39, "too few for the 20 classes .* at least 40"),
        ([3, 1, 3], None, "class '1' has 1"),
    ],
)
def test_an_impossible_split_is_rejected_with_the_reason(sizes, subset, message):
    with pytest.raises(DataError, match=message):
        split(labels_of(sizes), DataConfig(train_images=subset))


def test_the_test_set_is_a_stratified_fifth():
    labels = labels_of([50, 100, 25])
    parts: Split = hold_out_test(labels)
    assert np.bincount(labels[parts.validation]).tolist() == [10, 20, 5]
    assert sorted([*parts.train, *parts.validation]) == list(range(175))


def test_chance_accuracy_is_the_share_of_the_most_frequent_class():
    assert chance_accuracy(np.array([0, 1, 1, 2])) == 0.5
