"""Convolution of [t, x] without the concatenation: exact and faster."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class TimeConv2d(nn.Module):
    """Convolution of [t, x], where t is a constant channel before those of the state.

    Convolution is linear, so conv([t, x]) = conv_x(x) + t · conv_t(1). The second factor is a plane
    that does not depend on x and is the same for all evaluations of a batch. Adding it avoids the
    copy and keeps the number of channels aligned for the hardware. It is exact at the borders too,
    where zero padding cuts off the constant channel.

    In a state_dict `weight` is that of the concatenated form, (out, 1 + in, k, k).

    Args:
        in_channels: channels of x, excluding time.
        out_channels: channels of the result.
        kernel_size: k, in pixels.
        stride: stride of the convolution.
        padding: zero padding on each border, in pixels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        padding: int = 1,
    ) -> None:
        super().__init__()
        # torch's initialization of the concatenated form
        joint = nn.Conv2d(1 + in_channels, out_channels, kernel_size, stride, padding)
        assert joint.bias is not None
        self.weight = nn.Parameter(joint.weight.detach()[:, 1:].clone())
        # three dimensions, so that optimizers for convolution filters do not update it
        self.time_weight = nn.Parameter(joint.weight.detach()[:, 0].clone())
        self.bias = nn.Parameter(joint.bias.detach())
        self.stride, self.padding = stride, padding
        self.register_state_dict_post_hook(_join)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_split)  # type: ignore[no-untyped-call]

    def plane(self, height: int, width: int) -> Tensor:
        """Return conv_t(1) for states of H×W pixels, (1, out, H', W')."""
        ones = self.time_weight.new_ones(1, 1, height, width)
        with torch.autocast(ones.device.type, enabled=False):  # only once per batch
            return functional.conv2d(
                ones, self.time_weight[:, None], stride=self.stride, padding=self.padding
            )

    def forward(self, t: Tensor | float, x: Tensor, plane: Tensor | None = None) -> Tensor:
        """Convolve x (B, in_channels, H, W) at the scalar time t; `plane` is computed if None."""
        if plane is None:
            plane = self.plane(*x.shape[-2:])
        convolved = functional.conv2d(x, self.weight, stride=self.stride, padding=self.padding)
        # one addition for bias and time, and one sum over the batch for both gradients
        return convolved.add_(self.bias[:, None, None] + plane * t)


def _join(module: nn.Module, state: dict[str, Any], prefix: str, metadata: object) -> None:
    time_weight = state.pop(f"{prefix}time_weight")
    weight = state[f"{prefix}weight"]
    state[f"{prefix}weight"] = torch.cat([time_weight[:, None], weight], dim=1)


def _split(module: nn.Module, state: dict[str, Any], prefix: str, *rest: object) -> None:
    name = f"{prefix}weight"
    if name in state and f"{prefix}time_weight" not in state:
        joint = state[name]
        state[f"{prefix}time_weight"], state[name] = joint[:, 0], joint[:, 1:]
