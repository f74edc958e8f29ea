"""The ODE function f of dx/dt = f(t, x, θ)."""

from __future__ import annotations

from torch import Tensor, nn

from tune_ode.classifier.layers import NORMALIZATIONS, NormActivation
from tune_ode.classifier.time_conv import TimeConv2d
from tune_ode.config import OdeConfig


class VectorField(nn.Module):
    """[norm → activation → time-aware convolution] × n → norm, as in torchdiffeq's MNIST example.

    With batch normalization every evaluation in training mode updates the running statistics, so
    they average over the times that the solver chose. `TrialConfig` allows it with backprop only,
    since other gradients repeat the evaluations.

    Args:
        channels: channels of the state, including augmented ones.
        config: number of convolutions, hidden width, normalization and activation.
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

    def planes(self, height: int, width: int) -> tuple[Tensor, ...]:
        """Return the time planes of the convolutions; compute them once for all evaluations."""
        return tuple(conv.plane(height, width) for conv in self._convolutions())

    def dependencies(self, planes: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the tensors that `forward` with these planes depends on, except t and x."""
        replaced = {id(conv.time_weight) for conv in self._convolutions()}
        return *(p for p in self.parameters() if id(p) not in replaced), *planes

    def forward(
        self, t: Tensor | float, x: Tensor, planes: tuple[Tensor, ...] | None = None
    ) -> Tensor:
        """Return dx/dt at the scalar time t and the state x (B, C, H, W), in the shape of x."""
        if planes is None:
            planes = self.planes(*x.shape[-2:])
        layers = zip(self.activated, self.convolutions, planes, strict=True)
        for activated, convolution, plane in layers:
            x = convolution(t, activated(x), plane)
        derivative: Tensor = self.norm(x)
        return derivative

    def _convolutions(self) -> list[TimeConv2d]:
        return [conv for conv in self.convolutions if isinstance(conv, TimeConv2d)]
