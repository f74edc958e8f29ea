"""Random changes of a batch of training images, each image with draws of its own, on its device.

torchvision's transforms take one draw for a whole batch; a batch that is shifted or turned as one
is a weaker augmentation, and a loop over its images is slow. So here are the formulas of
`torchvision.transforms.v2.functional` with one parameter an image (the tests compare the two).

No function here waits for the device: all shapes are known and no branch depends on a pixel.
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
    """Change each image at random: crop, flip, rotation, brightness, contrast, saturation, hue.

    In this order always (torchvision's ColorJitter shuffles its four).

    Args:
        images: uint8 (B, C, H, W).
        config: what to do and how strongly.
        generator: on the images' device. Every kind of change has its own draws, so turning one on
            leaves the others' as they are.

    Returns:
        uint8 in [0, 255] if the pixels were only moved, else float32 in [0, 1]; (B, C, H, W).
    """
    uniform = torch.rand(len(_DRAWS), len(images), generator=generator, device=images.device)
    draw = dict(zip(_DRAWS, uniform, strict=True))
    if config.crop:
        positions = 2 * config.crop + 1
        down, right = (
            (draw[way] * positions).long().clamp_(max=positions - 1) for way in ("down", "right")
        )
        images = crop(images, config.crop, down, right)
    if config.flip:
        images = flip(images, draw["flip"] < 0.5)
    if config.rotation:
        images = rotate(_unit(images), config.rotation * (2 * draw["rotation"] - 1))
    for name, adjust in _FACTORS.items():
        if strength := getattr(config, name):
            images = adjust(_unit(images), 1 + strength * (2 * draw[name] - 1))
    if config.hue:
        images = adjust_hue(_unit(images), config.hue * (2 * draw["hue"] - 1))
    return images


def crop(images: Tensor, padding: int, down: Tensor, right: Tensor) -> Tensor:
    """Pad each image with zeros and cut out a window of its size.

    Args:
        images: (B, C, H, W), any dtype.
        padding: pixels on each side.
        down: int64 (B,), the window's first row, from 0 to 2 · padding.
        right: int64 (B,), its first column.
    """
    *_, height, width = images.shape
    padded = functional.pad(images, (padding,) * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: (B, C, down, right, H, W)
    each = torch.arange(len(images), device=images.device)
    return windows[each, :, down, right]


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the chosen images left to right; `chosen` is bool (B,)."""
    return torch.where(_per_image(chosen), images.flip(3), images)


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Turn each image counter-clockwise about its centre; bilinear, zeros flow in at the corners.

    Args:
        images: float32 (B, C, H, W), H = W.
        degrees: float32 (B,).
    """
    angle = degrees * (math.pi / 180)
    cosine, sine, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    # where each output pixel comes from: the inverse rotation, in coordinates whose y points down
    rows = [torch.stack((cosine, -sine, zero), 1), torch.stack((sine, cosine, zero), 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", align_corners=False)


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply the pixels; float32 (B, C, H, W) in [0, 1], factor (B,) from 0."""
    return (images * _per_image(factor)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Spread each image's pixels about its mean luma; arguments as in `adjust_brightness`."""
    return _blend(images, _luma(images).mean((1, 2, 3), keepdim=True), factor)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Spread the channels about each pixel's luma; grey images stay as they are."""
    return images if images.shape[1] == 1 else _blend(images, _luma(images), factor)


def adjust_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the colour circle by a shift in [-0.5, 0.5], (B,); grey images stay as they are.

    Saturation and value of the HSV colour stay, so the way back from HSV needs the hue alone:
    each channel is V - C · clip(min(k, 4 - k), 0, 1) with k = (n + 6 H) mod 6 and n = 5, 3, 1.
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


def _unit(images: Tensor) -> Tensor:
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
