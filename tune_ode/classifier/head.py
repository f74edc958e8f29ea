"""Classification head: state → logits."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from tune_ode.classifier.layers import ACTIVATIONS, NormActivation
from tune_ode.config import ModelConfig
from tune_ode.config.model import Pooling

POOLINGS: dict[Pooling, Callable[[int], nn.Module]] = {
    "average": nn.AdaptiveAvgPool2d,
    "max": nn.AdaptiveMaxPool2d,
}


class Head(nn.Module):
    """norm → activation → global pooling → [linear → activation → dropout] × n → linear.

    Without hidden layers, dropout is applied to the pooled features.

    Args:
        config: normalization, activation, and the fields under `head`.
        channels: channels of the state, including augmented ones.
        classes: number of logits.
    """

    def __init__(self, config: ModelConfig, channels: int, classes: int) -> None:
        super().__init__()
        head = config.head
        widths = [channels, *[head.hidden_width] * head.hidden_layers]
        self.activated = NormActivation(config.normalization, config.activation, channels)
        self.pool = POOLINGS[head.pooling](1)
        self.hidden = nn.ModuleList(map(nn.Linear, widths[:-1], widths[1:]))
        self.activation = ACTIVATIONS[config.activation]()
        self.dropout = nn.Dropout(head.dropout)
        self.output = nn.Linear(widths[-1], classes)

    def forward(self, state: Tensor) -> Tensor:
        """Map (B, channels, H, W) to logits, (B, classes)."""
        features: Tensor = self.pool(self.activated(state)).flatten(1)
        for linear in self.hidden:
            features = self.dropout(self.activation(linear(features)))
        if not self.hidden:
            features = self.dropout(features)
        logits: Tensor = self.output(features)
        return logits
