"""Stem: downsamples images to the state of the ODE, or of the baseline."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from tune_ode.classifier.layers import NormActivation, ResidualBlock
from tune_ode.config import ModelConfig
from tune_ode.config.model import StemKind


class FirstConv2d(nn.Conv2d):
    """Convolution of images; for one channel on a CPU computed as a matrix product.

    There a convolution takes three times as long as the product, forward and backward
    (docs/concepts/choosing-a-solver.md).

    Args:
        image_channels: channels of the images.
        width: output channels.
        padding: zero padding on each side.
        patch: side of disjoint patches, which are convolved with one kernel; None: 3×3, stride 1.
    """

    def __init__(
        self, image_channels: int, width: int, padding: int, patch: int | None = None
    ) -> None:
        kernel, stride = patch or 3, patch or 1
        super().__init__(image_channels, width, kernel, stride, padding)
        self.geometry = {"kernel_size": kernel, "stride": stride, "padding": padding}

    def forward(self, images: Tensor) -> Tensor:
        """Convolve (B, C, H, W)."""
        if images.device.type != "cpu" or self.in_channels > 1:
            return super().forward(images)
        assert self.bias is not None
        patches = functional.unfold(images, **self.geometry)
        # not len(images), which is a constant in an exported program
        filters = self.weight.flatten(1).expand(images.shape[0], -1, -1)
        out = torch.baddbmm(self.bias[:, None], filters, patches)
        kernel, stride, padding = self.geometry.values()
        height, width = ((n + 2 * padding - kernel) // stride + 1 for n in images.shape[-2:])
        return out.view(-1, self.out_channels, height, width)


def build_stem(config: ModelConfig, image_channels: int, stages: int) -> nn.Sequential:
    """Build the first convolution, the layers that halve the size, and the extra layers.

    Args:
        config: kind, padding, extra layers, widths, normalization and activation.
        image_channels: channels of the images.
        stages: how often the size is halved.

    Returns:
        (B, image_channels, H, W) → (B, width, h, w); see `config.model.stem_sizes` for the sizes.
    """
    stem = config.stem
    width = stem.width or config.width
    patch = 2**stages if stem.kind == "patch" else None
    halve, extra = STEM_LAYERS[stem.kind]
    parts = OrderedDict[str, nn.Module](
        first=FirstConv2d(image_channels, width, stem.padding, patch),
        stages=nn.Sequential(*(halve(config, width) for _ in range(0 if patch else stages))),
        extra=nn.Sequential(*(extra(config, width) for _ in range(stem.extra_layers))),
    )
    if width != config.width:
        parts["project"] = nn.Conv2d(width, config.width, 1)
    return nn.Sequential(parts)


def _convolution(config: ModelConfig, width: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            activated=NormActivation(config.normalization, config.activation, width),
            conv=nn.Conv2d(width, width, kernel, stride, padding=1),
        )
    )


def _pooled_convolution(config: ModelConfig, width: int) -> nn.Module:
    # pooling first: normalization, activation and convolution see a quarter of the pixels
    return nn.Sequential(
        OrderedDict(pool=nn.MaxPool2d(2), **dict(_convolution(config, width).named_children()))
    )


def _residual(config: ModelConfig, width: int, stride: int = 1) -> nn.Module:
    return ResidualBlock(config.normalization, config.activation, width, stride=stride)


Layer = Callable[[ModelConfig, int], nn.Module]
_STRIDED_CONVOLUTION = partial(_convolution, kernel=4, stride=2)
STEM_LAYERS: dict[StemKind, tuple[Layer, Layer]] = {
    "conv": (_STRIDED_CONVOLUTION, _convolution),
    "res": (partial(_residual, stride=2), _residual),
    "pool": (_pooled_convolution, _convolution),
    "patch": (_STRIDED_CONVOLUTION, _convolution),
}
"""Layers that halve the size, and that keep it, by kind; a patch stem has none of the former."""
