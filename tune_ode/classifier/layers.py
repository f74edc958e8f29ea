"""Building blocks: normalizations, activations, residual block."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from tune_ode.config.model import Activation, Normalization

LARGEST_GROUP_COUNT = 32


def group_count(channels: int) -> int:
    """Return the largest divisor of `channels` up to 32: the groups of group normalization."""
    return next(g for g in range(min(LARGEST_GROUP_COUNT, channels), 0, -1) if channels % g == 0)


def _group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(group_count(channels), channels)


def _layer_norm(channels: int) -> nn.Module:
    """Normalize over channels and pixels of an image of any size; nn.LayerNorm fixes the size."""
    return nn.GroupNorm(1, channels)


def _instance_norm(channels: int) -> nn.Module:
    """Normalize over the pixels of each channel, with a learned scale and shift."""
    return nn.GroupNorm(channels, channels)


def _no_norm(channels: int) -> nn.Module:
    return nn.Identity()


NORMALIZATIONS: dict[Normalization, Callable[[int], nn.Module]] = {
    "group": _group_norm,
    "layer": _layer_norm,
    "batch": nn.BatchNorm2d,
    "instance": _instance_norm,
    "none": _no_norm,
}

ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
}


class NormActivation(nn.Module):
    """Normalization and activation, as before a convolution in a pre-activation network.

    Args:
        normalization: name of the normalization.
        activation: name of the activation.
        channels: channels of input and output, (B, C, H, W) float.
    """

    def __init__(self, normalization: Normalization, activation: Activation, channels: int) -> None:
        super().__init__()
        self.norm = NORMALIZATIONS[normalization](channels)
        self.activation = ACTIVATIONS[activation]()
        if isinstance(self.activation, nn.ReLU) and normalization != "none":
            # 11 % faster for normalization, ReLU and convolution together (forward and backward,
            # 128×64×26×26, one CPU thread). Safe since the backward pass of a normalization does
            # not need its output; without one, the input may be the state of the solver.
            self.activation.inplace = True

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of x; does not modify x."""
        activated: Tensor = self.activation(self.norm(x))
        return activated


class ResidualBlock(nn.Module):
    """Pre-activation residual block of two 3×3 convolutions (He et al. 2016, arXiv:1603.05027).

    Args:
        normalization: name of the normalization before each convolution.
        activation: name of the activation before each convolution.
        channels: channels of input and output.
        stride: 1 keeps the size and uses the input as shortcut; 2 halves the size (rounding up) and
            uses a 1×1 convolution of the activated input.
    """

    def __init__(
        self,
        normalization: Normalization,
        activation: Activation,
        channels: int,
        *,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.activated1 = NormActivation(normalization, activation, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.activated2 = NormActivation(normalization, activation, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.shortcut = (
            nn.Conv2d(channels, channels, 1, stride, bias=False) if stride != 1 else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, ⌈H/stride⌉, ⌈W/stride⌉)."""
        activated = self.activated1(x)
        shortcut = x if self.shortcut is None else self.shortcut(activated)
        residual: Tensor = self.conv2(self.activated2(self.conv1(activated)))
        return residual + shortcut
