"""The downsampling part: images → the state on which the ODE, or the baseline, works."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import nn

from tune_ode.classifier.layers import NormActivation, ResidualBlock
from tune_ode.config import ModelConfig
from tune_ode.config.model import StemKind


def build_stem(config: ModelConfig, image_channels: int, stages: int) -> nn.Sequential:
    """Build a 3×3 convolution, `stages` layers of stride 2, and the extra layers of stride 1.

    Args:
        config: kind, padding, extra layers, width, normalization and activation.
        image_channels: channels of the images.
        stages: number of stride-2 layers.

    Returns:
        (B, image_channels, H, W) → (B, width, h, w), sizes as `config.model.stem_sizes` gives them.
    """
    first = nn.Conv2d(image_channels, config.width, 3, padding=config.stem.padding)
    layer = STEM_LAYERS[config.stem.kind]
    return nn.Sequential(
        OrderedDict(
            first=first,
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
