"""The ODE function f of dx/dt = f(t, x, θ)."""

from __future__ import annotations

from torch import Tensor, nn

from tune_ode.classifier.layers import NORMALIZATIONS, NormActivation, TimeConv2d
from tune_ode.config import OdeConfig


class VectorField(nn.Module):
    """[norm → activation → time-aware convolution] × n → norm, as in torchdiffeq's MNIST example.

    With batch normalization the running statistics move at every evaluation in training mode, so
    they average over the times and the steps that the solver happened to choose; `TrialConfig`
    allows it with gradients by backprop alone, since the adjoint would evaluate everything again.

    Args:
        channels: channels of the state, augmented ones included.
        config: number of convolutions, width between them, normalization and activation.
    """

    def __init__(self, channels: int, config: OdeConfig) -> None:
        super().__init__()
        hidden = config.hidden_width or channels
        widths = [channels, *[hidden] * (config.convolutions - 1), channels]
        self.activated = nn.ModuleList(
            NormActivation(config.normalization, config.activation, width) for width in widths[:-1]
        )
        self.convolutions = nn.ModuleList(map(TimeConv2d, widths[:-1], widths[1:]))
        self.norm = NORMALIZATIONS[config.normalization](channels)

    def forward(self, t: Tensor | float, x: Tensor) -> Tensor:
        """Return dx/dt at the scalar time t and the state x, (B, C, H, W), in x's shape."""
        for activated, convolution in zip(self.activated, self.convolutions, strict=True):
            x = convolution(t, activated(x))
        derivative: Tensor = self.norm(x)
        return derivative
