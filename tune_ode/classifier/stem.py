"""Stem: downsamples images to the state of the ODE, or of the baseline."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from tune_ode.classifier.layers import NormActivation, ResidualBlock
from tune_ode.config import ModelConfig
from tune_ode.config.model import StemKind


class FirstConv2d(nn.Conv2d):
    """3×3 convolution of images; for one channel on a CPU computed as a matrix product.

    There a convolution takes three times as long as the product, forward and backward
    (docs/concepts/choosing-a-solver.md).
    """

    def __init__(self, image_channels: int, width: int, padding: int) -> None:
        super().__init__(image_channels, width, 3, padding=padding)
        self.border = padding

    def forward(self, images: Tensor) -> Tensor:
        """Convolve (B, C, H, W)."""
        if images.device.type != "cpu" or self.in_channels > 1:
            return super().forward(images)
        assert self.bias is not None
        patches = functional.unfold(images, 3, padding=self.border)
        # not len(images), which is a constant in an exported program
        filters = self.weight.flatten(1).expand(images.shape[0], -1, -1)
        out = torch.baddbmm(self.bias[:, None], filters, patches)
        height, width = (size + 2 * self.border - 2 for size in images.shape[-2:])
        return out.view(-1, self.out_channels, height, width)


def build_stem(config: ModelConfig, image_channels: int, stages: int) -> nn.Sequential:
    """Build a 3×3 convolution, `stages` layers with stride 2, and the extra layers with stride 1.

    Args:
        config: kind, padding, extra layers, width, normalization and activation.
        image_channels: channels of the images.
        stages: number of stride-2 layers.

    Returns:
        (B, image_channels, H, W) → (B, width, h, w); see `config.model.stem_sizes` for the sizes.
    """
    layer = STEM_LAYERS[config.stem.kind]
    return nn.Sequential(
        OrderedDict(
            first=FirstConv2d(image_channels, config.width, config.stem.padding),
            stages=nn.Sequential(*(layer(config, 2) for _ in range(stages))),
            extra=nn.Sequential(*(layer(config, 1) for _ in range(config.stem.extra_layers))),
        )
    )


def _convolution(config: ModelConfig, stride: int) -> nn.Module:
    kernel = {1: 3, 2: 4}[stride]
    return nn.Sequential(
        OrderedDict(
            activated=NormActivation(config.normalization, config.activation, config.width),
            conv=nn.Conv2d(config.width, config.width, kernel, stride, padding=1),
        )
    )


def _residual(config: ModelConfig, stride: int) -> nn.Module:
    return ResidualBlock(config.normalization, config.activation, config.width, stride=stride)


STEM_LAYERS: dict[StemKind, Callable[[ModelConfig, int], nn.Module]] = {
    "conv": _convolution,
    "res": _residual,
}
