"""Transforms match those of torchvision, with separate random parameters for each image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from tune_ode.config import AugmentationConfig
from tune_ode.data import augmentation

COUNT = 12
EVERYTHING = AugmentationConfig(
    crop=4, flip=True, rotation=20, brightness=1, contrast=1, saturation=1, hue=0.5
)


def images(channels: int = 3, side: int = 16, count: int = COUNT) -> Tensor:
    generator = torch.Generator().manual_seed(channels)
    return torch.rand(count, channels, side, side, generator=generator)


def pixels(channels: int = 3, side: int = 16, count: int = COUNT) -> Tensor:
    return (images(channels, side, count) * 255).round().to(torch.uint8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def apply_to_each(batch: Tensor, values: Tensor, transform) -> Tensor:
    return torch.stack(
        [transform(image, value.item()) for image, value in zip(batch, values, strict=True)]
    )


def rotate_one(image: Tensor, degrees: float) -> Tensor:
    return reference.rotate(image, degrees, interpolation=InterpolationMode.BILINEAR)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("ours", "theirs", "low", "high"),
    [
        (augmentation.adjust_brightness, reference.adjust_brightness, 0, 2),
        (augmentation.adjust_contrast, reference.adjust_contrast, 0, 2),
        (augmentation.adjust_saturation, reference.adjust_saturation, 0, 2),
        (augmentation.adjust_hue, reference.adjust_hue, -0.5, 0.5),
        (augmentation.rotate, rotate_one, -180, 180),
    ],
)
def test_matches_torchvision(ours, theirs, low, high, channels):
    batch, values = images(channels), torch.linspace(low, high, COUNT)
    expected = apply_to_each(batch, values, theirs)
    torch.testing.assert_close(ours(batch.clone(), values), expected, atol=2e-5, rtol=0)


def test_the_hue_of_pure_and_grey_colors():
    """Ties between channels are special cases; a shift of a third permutes the channels."""
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 0.5, 1.0])] * 3)
    batch = corners.T.reshape(1, 3, 27, 1)
    turned = augmentation.adjust_hue(batch, torch.tensor([1 / 3]))
    torch.testing.assert_close(turned, batch.roll(1, dims=1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("transform", [augmentation.adjust_saturation, augmentation.adjust_hue])
def test_saturation_and_hue_do_not_change_grey_images(transform):
    batch = images(channels=1)
    assert torch.equal(transform(batch, torch.full((COUNT,), 0.4)), batch)


@pytest.mark.parametrize("channels", [1, 3])
def test_crop_is_a_window_of_the_padded_image(channels):
    batch, padding = pixels(channels), 3
    down = torch.arange(COUNT) % 7
    right = (torch.arange(COUNT) * 3) % 7
    cropped = augmentation.crop(batch, padding, down, right)
    padded = torch.nn.functional.pad(batch, (padding,) * 4)
    for index, (top, left) in enumerate(zip(down.tolist(), right.tolist(), strict=True)):
        window = padded[index, :, top : top + 16, left : left + 16]
        assert torch.equal(cropped[index], window)


def test_flip_changes_only_the_selected_images():
    batch, selected = pixels(), torch.arange(COUNT) % 2 == 0
    flipped = augmentation.flip(batch, selected)
    assert torch.equal(flipped[1::2], batch[1::2])
    assert torch.equal(flipped[::2], batch[::2].flip(3))


def test_every_position_of_the_crop_is_equally_likely():
    """25 positions with 400 images each, within five sigma."""
    count, padding = 10_000, 2
    dot = torch.zeros(count, 1, 9, 9, dtype=torch.uint8)
    dot[:, :, 4, 4] = 1
    moved = augmentation.augment(dot, AugmentationConfig(crop=padding), generator())
    row, column = moved[:, 0].flatten(1).argmax(1) // 9, moved[:, 0].flatten(1).argmax(1) % 9
    seen = torch.bincount((row - 2) * 5 + column - 2, minlength=25)
    assert len(seen) == 25
    assert (seen - 400).abs().max() < 5 * (400 * 24 / 25) ** 0.5


def test_half_of_the_images_are_flipped():
    batch = torch.zeros(10_000, 1, 8, 8, dtype=torch.uint8)
    batch[..., 0] = 1
    flipped = augmentation.augment(batch, AugmentationConfig(flip=True), generator())
    assert abs(int(flipped[:, 0, 0, 7].sum()) - 5_000) < 5 * 50


def test_brightness_factors_cover_their_range():
    batch = torch.full((10_000, 1, 8, 8), 100, dtype=torch.uint8)
    changed = augmentation.augment(batch, AugmentationConfig(brightness=0.3), generator())
    factor = changed[:, 0, 0, 0] * 255 / 100
    assert 0.7 <= factor.min() < 0.701
    assert 1.299 < factor.max() <= 1.3001
    assert abs(factor.mean() - 1) < 5 * 0.3 / 3**0.5 / 100


@pytest.mark.parametrize(
    "transform", ["rotation", "brightness", "contrast", "saturation", "hue", "crop"]
)
def test_equal_images_of_a_batch_are_augmented_differently(transform):
    batch = pixels(count=1).repeat(8, 1, 1, 1)
    fields = {transform: getattr(EVERYTHING, transform)}
    changed = augmentation.augment(batch, AugmentationConfig(**fields), generator())
    assert len({tuple(image.flatten().tolist()) for image in changed}) == 8


def test_enabling_a_transform_does_not_change_the_draws_of_others():
    cropped = augmentation.augment(pixels(), AugmentationConfig(crop=4), generator())
    both = augmentation.augment(
        pixels(), AugmentationConfig(crop=4, flip=True, hue=0.0), generator()
    )
    mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(both, cropped, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(both, cropped, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert any(mirrored)
    assert any(same)


def test_crop_and_flip_keep_uint8_and_other_transforms_stay_in_range():
    moved = augmentation.augment(pixels(), AugmentationConfig(crop=2, flip=True), generator())
    assert moved.dtype == torch.uint8
    changed = augmentation.augment(pixels(), EVERYTHING, generator())
    assert changed.dtype == torch.float32
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_the_input_is_not_modified():
    """It may be a view of the images on the device."""
    batch = pixels()
    before = batch.clone()
    augmentation.augment(batch, EVERYTHING, generator())
    assert torch.equal(batch, before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_no_transform_synchronizes_with_the_gpu():
    device = torch.device("cuda")
    batch = pixels().to(device)
    gpu_generator = torch.Generator(device).manual_seed(0)
    augmentation.augment(batch, EVERYTHING, gpu_generator)
    torch.cuda.set_sync_debug_mode("error")
    try:
        augmentation.augment(batch, EVERYTHING, gpu_generator)
    finally:
        torch.cuda.set_sync_debug_mode("default")
