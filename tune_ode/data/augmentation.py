"""Random augmentation of batches on the device, with separate random parameters for each image.

The transforms of torchvision use the same parameters for all images of a batch, which is a weaker
augmentation, and a loop over the images is slow. These functions are the formulas of
`torchvision.transforms.v2.functional` with one parameter per image (the tests compare the two).

No function synchronizes with the device: all shapes are known and no branch depends on pixels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from tune_ode.config import AugmentationConfig

_DRAWS = ("down", "right", "flip", "rotation", "brightness", "contrast", "saturation", "hue")
_LUMA = (0.2989, 0.587, 0.114)  # ITU-R 601, as torchvision rounds it


def augment(images: Tensor, config: AugmentationConfig, generator: torch.Generator) -> Tensor:
    """Augment each image: crop, flip, rotation, brightness, contrast, saturation, hue.

    The order is fixed, unlike that of torchvision's ColorJitter.

    Args:
        images: uint8 (B, C, H, W).
        config: transforms and their strengths.
        generator: generator on the device of the images. Each transform has separate draws, so
            enabling one does not change the others.

    Returns:
        (B, C, H, W), uint8 in [0, 255] after crop and flip only, else float32 in [0, 1].
    """
    uniform = torch.rand(len(_DRAWS), len(images), generator=generator, device=images.device)
    draw = dict(zip(_DRAWS, uniform, strict=True))
    if config.crop:
        positions = 2 * config.crop + 1
        down, right = (
            (draw[axis] * positions).long().clamp_(max=positions - 1) for axis in ("down", "right")
        )
        images = crop(images, config.crop, down, right)
    if config.flip:
        images = flip(images, draw["flip"] < 0.5)
    if config.rotation:
        images = rotate(_to_float(images), config.rotation * (2 * draw["rotation"] - 1))
    for name, adjust in _FACTORS.items():
        if strength := getattr(config, name):
            images = adjust(_to_float(images), 1 + strength * (2 * draw[name] - 1))
    if config.hue:
        images = adjust_hue(_to_float(images), config.hue * (2 * draw["hue"] - 1))
    return images


def crop(images: Tensor, padding: int, down: Tensor, right: Tensor) -> Tensor:
    """Pad each image with zeros and crop a window of its size.

    Args:
        images: (B, C, H, W), any dtype.
        padding: zeros on each side, in pixels.
        down: int64 (B,), first row of the window, from 0 to 2 · padding.
        right: int64 (B,), first column of the window, likewise.
    """
    *_, height, width = images.shape
    padded = functional.pad(images, (padding,) * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: (B, C, down, right, H, W)
    indices = torch.arange(len(images), device=images.device)
    return windows[indices, :, down, right]


def flip(images: Tensor, selected: Tensor) -> Tensor:
    """Flip the images selected by a bool (B,) tensor horizontally."""
    return torch.where(_per_image(selected), images.flip(3), images)


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotate each image counter-clockwise about its center; bilinear, with zeros outside.

    Args:
        images: float32 (B, C, H, W), H = W.
        degrees: float32 (B,).
    """
    angle = degrees * (math.pi / 180)
    cosine, sine, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    # maps output to input pixels: the inverse rotation, in coordinates whose y axis points down
    rows = [torch.stack((cosine, -sine, zero), 1), torch.stack((sine, cosine, zero), 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", align_corners=False)


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply the pixels, float32 (B, C, H, W) in [0, 1], by factors (B,) ≥ 0."""
    return (images * _per_image(factor)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Scale the pixels about the mean luma of the image; see `adjust_brightness`."""
    return _blend(images, _luma(images).mean((1, 2, 3), keepdim=True), factor)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Scale the channels about the luma of each pixel; grey images are unchanged."""
    return images if images.shape[1] == 1 else _blend(images, _luma(images), factor)


def adjust_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Shift the hue by (B,) values in [-0.5, 0.5]; grey images are unchanged.

    Value V and chroma C are constant, so the conversion from HSV to RGB needs only the hue H: each
    channel is V - C · clip(min(k, 4 - k), 0, 1) with k = (n + 6 H) mod 6 and n = 5, 3, 1.
    """
    if images.shape[1] == 1:
        return images
    low, value = torch.aminmax(images, dim=1, keepdim=True)
    chroma = value - low
    red, green, blue = _channels(images)
    span = torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    hue = torch.where(
        value == red,
        (green - blue) / span,
        torch.where(value == green, 2 + (blue - red) / span, 4 + (red - green) / span),
    )
    sector = hue + 6 * _per_image(shift)
    wave = torch.cat([(sector + n) % 6 for n in (5, 3, 1)], dim=1)
    return value - chroma * torch.minimum(wave, 4 - wave).clamp_(0, 1)


_FACTORS = {
    "brightness": adjust_brightness,
    "contrast": adjust_contrast,
    "saturation": adjust_saturation,
}


def _to_float(images: Tensor) -> Tensor:
    return images if images.is_floating_point() else images.to(torch.float32).div_(255)


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _channels(images: Tensor) -> list[Tensor]:
    return [images[:, channel : channel + 1] for channel in range(3)]


def _luma(images: Tensor) -> Tensor:
    if images.shape[1] == 1:
        return images
    red, green, blue = _channels(images)
    return _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue


def _blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    weight = _per_image(factor)
    return (weight * images + (1 - weight) * other).clamp_(0, 1)
