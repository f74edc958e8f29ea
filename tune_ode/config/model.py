"""The network: stem, ODE blocks (or residual blocks), head."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tune_ode.config.base import ConfigModel
from tune_ode.errors import ConfigurationError

Architecture = Literal["ode", "resnet"]
StemKind = Literal["conv", "res"]
Normalization = Literal["group", "layer", "batch", "instance", "none"]
Activation = Literal["relu", "gelu", "silu", "softplus", "tanh", "elu"]
Pooling = Literal["average", "max"]

SMALLEST_STATE = 4
"""Smallest side of a state in pixels; below, a 3×3 convolution sees mostly padding."""
LARGEST_AUTOMATIC_STATE = 8
"""With `stages=None`, the stem halves its output to at most this side in pixels."""


class StemConfig(ConfigModel):
    """Downsampling: a 3×3 convolution, then stride-2 stages, then extra layers."""

    kind: StemKind = "conv"
    """`conv`: each stage a 4×4 stride-2 convolution; `res`: each a stride-2 residual block."""
    stages: Annotated[int, Field(ge=0, le=4)] | None = None
    """Stride-2 stages; None: as many as reduce the state to at most 8×8 pixels (28 → 6, 8 → 6)."""
    padding: Annotated[int, Field(ge=0, le=1)] = 0
    """Zero padding of the first convolution: 0 removes a pixel at each border, 1 keeps the size."""
    extra_layers: Annotated[int, Field(ge=0, le=4)] = 0
    """3×3 stride-1 convolutions (`conv`) or residual blocks (`res`) after the stages."""


class OdeConfig(ConfigModel):
    """The ODE function dx/dt = f(x, t, θ) and its integration interval."""

    convolutions: Annotated[int, Field(ge=1, le=4)] = 2
    """Time-aware 3×3 convolutions in f."""
    hidden_width: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Channels between f's convolutions; None: those of the state."""
    normalization: Normalization = "group"
    activation: Activation = "relu"
    augmented_channels: Annotated[int, Field(ge=0, le=256)] = 0
    """Zero channels appended to the state (Dupont et al. 2019, augmented neural ODEs)."""
    integration_time: Annotated[float, Field(gt=0, le=100)] = 1.0
    """T of the interval [0, T], dimensionless."""


class HeadConfig(ConfigModel):
    """The classifier: normalization, activation, pooling, hidden layers, output layer."""

    pooling: Pooling = "average"
    hidden_layers: Annotated[int, Field(ge=0, le=2)] = 0
    hidden_width: Annotated[int, Field(ge=1, le=4096)] = 128
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout probability after each hidden layer; without any, of the pooled features."""


class ModelConfig(ConfigModel):
    """Stem → blocks → head."""

    architecture: Architecture = "ode"
    """`ode`: ODE blocks; `resnet`: residual blocks instead, as a baseline."""
    blocks: Annotated[int, Field(ge=1, le=32)] = 1
    """Number of ODE blocks, or of the baseline's residual blocks."""
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """Channels of stem and state."""
    normalization: Normalization = "group"
    """Normalization outside the ODE function; `group` uses min(32, width) groups."""
    activation: Activation = "relu"
    """Activation outside the ODE function."""
    stem: StemConfig = StemConfig()
    ode: OdeConfig = OdeConfig()
    head: HeadConfig = HeadConfig()


def stem_sizes(stem: StemConfig, size: int) -> list[int]:
    """Return the side in pixels after the stem's first convolution and each stride-2 stage.

    Args:
        stem: the stem.
        size: side of the (square) input image in pixels.

    Raises:
        ConfigurationError: the state would be smaller than 4×4 pixels.
    """
    sizes = [size - 2 + 2 * stem.padding]
    while (
        len(sizes) <= stem.stages
        if stem.stages is not None
        else sizes[-1] > LARGEST_AUTOMATIC_STATE
    ):
        # 4×4 kernel (conv) and 3×3 kernel (res), both stride 2 and padding 1
        sizes.append(sizes[-1] // 2 if stem.kind == "conv" else (sizes[-1] + 1) // 2)
    if sizes[-1] < SMALLEST_STATE:
        raise ConfigurationError(
            f"the stem shrinks {size}×{size} images to {sizes[-1]}×{sizes[-1]}, below the smallest "
            f"state of {SMALLEST_STATE}×{SMALLEST_STATE}; use fewer model.stem.stages "
            f"(now {stem.stages}), or set model.stem.padding to 1"
        )
    return sizes
