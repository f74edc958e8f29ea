"""Batches: pure functions of (seed, epoch, batch), normalized, on the device."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_ode.config import AugmentationConfig, TrialConfig
from tune_ode.data import ImageData, PixelStatistics, TrainBatches, evaluation_batches, trial_data
from tune_ode.data.batches import EvaluationBatches, _even_size
from tune_ode.data.pixels import measure
from tune_ode.errors import ConfigurationError

CPU = torch.device("cpu")
IDENTITY = PixelStatistics(mean=(0.0,), std=(1.0,))
RANDOM = AugmentationConfig(crop=2, flip=True, rotation=10, brightness=0.2)


def train_batches(count: int = 50, **changes) -> TrainBatches:
    """Return images whose pixels and labels are their index."""
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 8, 8)
    options = {"batch_size": 8, "seed": 3, "augmentation": AugmentationConfig()} | changes
    return TrainBatches(images.contiguous(), torch.arange(count), statistics=IDENTITY, **options)


def image_data(count: int = 200, channels: int = 3, classes: int = 4) -> ImageData:
    numbers = np.random.default_rng(0)
    arrays = [numbers.integers(0, 256, (count, channels, 8, 8), dtype=np.uint8) for _ in "ab"]
    labels = np.arange(count, dtype=np.int64) % classes
    for array in [*arrays, labels]:
        array.flags.writeable = False  # like memory maps
    names = tuple(f"class {label}" for label in range(classes))
    return ImageData("invented", names, arrays[0], labels, arrays[1], labels)


def labels_of(batches) -> list[list[int]]:
    return [labels.tolist() for _, labels in batches]


def assert_same(ours, theirs):
    pairs = list(zip(ours, theirs, strict=True))
    assert pairs
    for (images, labels), (other_images, other_labels) in pairs:
        assert torch.equal(images, other_images)
        assert torch.equal(labels, other_labels)


def test_balanced_weights_are_inverse_to_the_training_images_of_a_class():
    data = image_data(200, classes=4)
    labels = np.repeat(np.arange(4, dtype=np.int64), [100, 60, 30, 10])
    data = replace(data, train_labels=labels)

    def weights(kind: str) -> torch.Tensor | None:
        config = TrialConfig().with_values({"data.class_weights": kind})
        return trial_data(data, config, CPU).class_weights

    assert weights("none") is None
    assert weights("balanced") * torch.tensor([80, 48, 24, 8]) == pytest.approx([40.0] * 4)


def test_epoch_visits_each_image_at_most_once_in_full_batches():
    batches = train_batches(50)
    seen = labels_of(batches.epoch(0))
    assert [len(batch) for batch in seen] == [8] * len(batches) == [8] * 6
    flat = [label for batch in seen for label in batch]
    assert len(set(flat)) == 48
    assert flat != sorted(flat)


def test_images_keep_their_labels():
    for images, labels in train_batches().epoch(1):
        assert torch.equal((images[:, 0, 0, 0] * 255).round().long(), labels)


def test_epochs_and_seeds_have_different_orders():
    orders = [
        labels_of(train_batches(seed=seed).epoch(epoch)) for seed in (3, 4) for epoch in range(3)
    ]
    assert len({str(order) for order in orders}) == 6


@pytest.mark.parametrize("augmentation", [AugmentationConfig(), RANDOM])
def test_a_resumed_epoch_equals_an_uninterrupted_one(augmentation):
    full = train_batches(augmentation=augmentation).epoch(2)
    rest = train_batches(augmentation=augmentation).epoch(2, first_batch=4)
    assert_same(islice(full, 4, None), rest)


def test_concurrent_epochs_and_the_global_random_state_have_no_effect():
    batches = train_batches(augmentation=RANDOM)
    torch.manual_seed(0)
    expected = list(batches.epoch(0))
    state = torch.get_rng_state()
    found = []
    for batch, _ in zip(batches.epoch(0), batches.epoch(1), strict=True):
        found.append(batch)
        batches.dummy()
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    assert_same(expected, found)


def test_augmentation_differs_between_batches_and_epochs():
    same = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8).repeat(4, 1, 1, 1)
    options = {"batch_size": 2, "seed": 0, "statistics": IDENTITY, "augmentation": RANDOM}
    batches = TrainBatches(same, torch.zeros(4, dtype=torch.int64), **options)
    drawn = [image for epoch in range(2) for images, _ in batches.epoch(epoch) for image in images]
    assert len({tuple(image.flatten().tolist()) for image in drawn}) == 8


def test_a_batch_is_not_larger_than_the_data():
    batches = train_batches(5, batch_size=128)
    assert batches.batch_size == 5
    assert len(batches) == 1
    assert [sorted(labels) for labels in labels_of(batches.epoch(0))] == [[0, 1, 2, 3, 4]]


def test_a_dummy_batch_has_the_shapes_and_dtypes_of_a_batch():
    batches = train_batches()
    images, labels = batches.dummy()
    real_images, real_labels = next(batches.epoch(0))
    assert (images.shape, images.dtype) == (real_images.shape, real_images.dtype)
    assert (labels.shape, labels.dtype) == (real_labels.shape, real_labels.dtype)
    assert not images.any()


def test_evaluation_batches_contain_all_images_in_order_repeatedly():
    images = torch.arange(10, dtype=torch.uint8)[:, None, None, None].repeat(1, 1, 8, 8)
    batches = EvaluationBatches(images, torch.arange(10), statistics=IDENTITY, batch_size=4)
    assert labels_of(batches) == labels_of(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(batches) == 3
    assert batches.images == 10


class OnGpu(torch.Tensor):
    """A tensor that says it is on a GPU."""

    is_cuda = True


@pytest.mark.parametrize(("kind", "expected"), [(torch.Tensor, [3, 2]), (OnGpu, [3, 3])])
def test_the_first_images_are_in_entire_batches_on_a_gpu(kind, expected):
    """Another shape would compile another program."""
    images = torch.zeros(12, 1, 8, 8, dtype=torch.uint8)
    batches = EvaluationBatches(images, torch.arange(12), statistics=IDENTITY, batch_size=3)
    batches._images = images.as_subclass(kind)
    first = batches.first(5)
    assert [len(labels) for _, labels in first] == expected
    assert (first.images, batches.images) == (sum(expected), 12)
    assert batches.first(99).images == 12


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5_000), st.integers(1, 600))
def test_evaluation_batches_have_equal_sizes_if_possible(images, largest):
    size = _even_size(images, largest)
    assert 1 <= size <= min(images, largest)
    if images <= largest:
        assert size == images
    elif any(images % divisor == 0 for divisor in range(largest // 2 + 1, largest + 1)):
        assert images % size == 0
    else:
        assert -(-images // size) == -(-images // largest)


def test_measured_statistics_normalize_the_training_split():
    config = TrialConfig.from_dict({"training": {"batch_size": 120}})
    trial = trial_data(image_data(), config, CPU)
    images, _ = next(trial.train.epoch(0))
    assert len(images) == 120
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        images.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0
    )


def test_statistics_are_exact():
    images = np.random.default_rng(0).integers(0, 256, (1500, 3, 8, 8), dtype=np.uint8)
    measured = measure(images)
    unit = images.astype(np.float64) / 255
    np.testing.assert_allclose(measured.mean, unit.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(measured.std, unit.std((0, 2, 3)), rtol=1e-12)


def test_a_constant_channel_is_not_divided_by_zero():
    images = np.full((20, 1, 8, 8), 7, dtype=np.uint8)
    batches = evaluation_batches(images, np.zeros(20, dtype=np.int64), measure(images), CPU)
    (pixels, _), *_ = batches
    torch.testing.assert_close(pixels, torch.zeros_like(pixels), atol=1e-5, rtol=0)


@pytest.mark.parametrize("augmentation", [{}, {"brightness": 1e-9}])
def test_given_statistics_are_used_for_bytes_and_floats(augmentation):
    data = image_data()
    values = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 1.0, 2.0], "augmentation": augmentation}
    trial = trial_data(data, TrialConfig.from_dict({"data": values}), CPU)
    assert trial.statistics == PixelStatistics((0.1, 0.2, 0.3), (0.5, 1.0, 2.0))
    images, _ = next(trial.train.epoch(0))
    back = images * torch.tensor([0.5, 1.0, 2.0])[:, None, None]
    back = (back + torch.tensor([0.1, 0.2, 0.3])[:, None, None]) * 255
    torch.testing.assert_close(back, back.round(), atol=1e-3, rtol=0)
    known = {tuple(image) for image in data.train_images.reshape(200, -1).tolist()}
    assert {tuple(image) for image in back.round().int().flatten(1).tolist()} <= known


def test_statistics_for_another_number_of_channels_are_rejected():
    config = TrialConfig.from_dict({"data": {"mean": [0.1], "std": [0.5]}})
    with pytest.raises(ConfigurationError, match="have 3, found 1"):
        trial_data(image_data(), config, CPU)


def test_trial_data_describes_the_images():
    data = image_data()
    trial = trial_data(data, TrialConfig.from_dict({"data": {"validation_fraction": 0.2}}), CPU)
    assert (trial.shape, trial.classes, trial.chance) == ((3, 8, 8), 4, 0.25)
    assert trial.class_names == data.class_names
    assert trial.validation.images == 40
    assert len(trial.train) == 160 // 128


def test_validation_is_held_out_of_training():
    data = image_data()
    trial = trial_data(data, TrialConfig.from_dict({"training": {"batch_size": 160}}), CPU)
    ((trained, _),) = trial.train.epoch(0)
    validated = torch.cat([images for images, _ in trial.validation])
    rows = {tuple(image) for image in torch.cat([trained, validated]).flatten(1).tolist()}
    assert len(rows) == len(trained) + len(validated) == 200


def test_trials_with_the_same_split_share_the_images_on_the_device():
    data = image_data()
    first = trial_data(data, TrialConfig(), CPU)
    other = {"data": {"augmentation": {"flip": True}}, "seed": 5, "training": {"batch_size": 16}}
    second = trial_data(data, TrialConfig.from_dict(other), CPU)
    third = trial_data(data, TrialConfig.from_dict({"data": {"split_seed": 1}}), CPU)
    addresses = [trial.train._images.data_ptr() for trial in (first, second, third)]
    assert addresses[0] == addresses[1] != addresses[2]
    assert second.train.batch_size == 16


@pytest.mark.filterwarnings("error")
def test_read_only_images_are_copied_without_a_warning():
    data = image_data()
    batches = evaluation_batches(data.test_images, data.test_labels, IDENTITY, CPU)
    batches._images[0] = 0
    assert data.test_images[0].any()
