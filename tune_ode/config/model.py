"""The network: stem, ODE blocks (or residual blocks), head."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tune_ode.config.base import ConfigModel
from tune_ode.errors import ConfigurationError

Architecture = Literal["ode", "resnet"]
StemKind = Literal["conv", "res", "patch", "pool"]
Normalization = Literal["group", "layer", "batch", "instance", "none"]
Activation = Literal["relu", "gelu", "silu", "softplus", "tanh", "elu"]
Pooling = Literal["average", "max"]

SMALLEST_STATE = 4
"""Smallest side of a state in pixels; below, a 3×3 convolution sees mostly padding."""
LARGEST_AUTOMATIC_STATE = 8
"""With `stages=None`, the stem halves its output to at most this side in pixels."""


class StemConfig(ConfigModel):
    """Downsampling: a 3×3 convolution, then stages that halve the size, then extra layers."""

    kind: StemKind = "conv"
    """Of each stage: `conv`: a 4×4 stride-2 convolution; `res`: a stride-2 residual block; `pool`:
    2×2 max pooling, then a 3×3 convolution. `patch`: one convolution of disjoint patches, of side
    2^stages, instead of the first convolution and all stages (Dosovitskiy et al. 2021)."""
    stages: Annotated[int, Field(ge=0, le=4)] | None = None
    """Stages that halve the size; None: as many as reduce the state to at most 8×8 pixels, and with
    `patch` at least one (28 → 6 or, with `patch`, 7; 8 → 6 or 4)."""
    width: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Channels; a 1×1 convolution maps them to those of the state. None: `model.width`."""
    padding: Annotated[int, Field(ge=0, le=1)] = 0
    """Zero padding of the first convolution: 0 removes a pixel at each border, 1 keeps the size;
    with `patch`, 1 adds a pixel at each border. Patches leave out what remains of a size."""
    extra_layers: Annotated[int, Field(ge=0, le=4)] = 0
    """Layers of stride 1 after the stages: residual blocks (`res`) or 3×3 convolutions."""


class OdeConfig(ConfigModel):
    """The ODE function dx/dt = f(x, t, θ) and its integration interval."""

    convolutions: Annotated[int, Field(ge=1, le=4)] = 2
    """Time-aware 3×3 convolutions in f."""
    hidden_width: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Channels between f's convolutions; None: those of the state."""
    normalization: Normalization = "group"
    """Normalization in f; `group` uses min(32, channels) groups."""
    activation: Activation = "relu"
    """Activation in f."""
    augmented_channels: Annotated[int, Field(ge=0, le=256)] = 0
    """Zero channels appended to the state (Dupont et al. 2019, augmented neural ODEs)."""
    integration_time: Annotated[float, Field(gt=0, le=100)] = 1.0
    """T of the interval [0, T], dimensionless."""


class HeadConfig(ConfigModel):
    """The classifier: normalization, activation, pooling, hidden layers, output layer."""

    pooling: Pooling = "average"
    """Pooling over all pixels of the state."""
    hidden_layers: Annotated[int, Field(ge=0, le=2)] = 0
    """Linear layers before the output layer."""
    hidden_width: Annotated[int, Field(ge=1, le=4096)] = 128
    """Units of each of them."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout probability after each hidden layer; without any, of the pooled features."""


class ModelConfig(ConfigModel):
    """Stem → blocks → head."""

    architecture: Architecture = "ode"
    """`ode`: ODE blocks; `resnet`: residual blocks instead, as a baseline."""
    blocks: Annotated[int, Field(ge=1, le=32)] = 1
    """Number of ODE blocks, or of the baseline's residual blocks."""
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    """Channels of the state, and of the stem unless it has its own."""
    normalization: Normalization = "group"
    """Normalization outside the ODE function; `group` uses min(32, width) groups."""
    activation: Activation = "relu"
    """Activation outside the ODE function."""
    stem: StemConfig = StemConfig()
    ode: OdeConfig = OdeConfig()
    head: HeadConfig = HeadConfig()


def stem_sizes(stem: StemConfig, size: int) -> list[int]:
    """Return the side in pixels after the stem's first convolution and each stage that halves it.

    The sizes within the patches of a `patch` stem are as if it had stages.

    Args:
        stem: the stem.
        size: side of the (square) input image in pixels.

    Raises:
        ConfigurationError: the state would be smaller than 4×4 pixels.
    """
    patches = stem.kind == "patch"
    sizes = [size + 2 * stem.padding - (0 if patches else 2)]
    while (
        len(sizes) <= stem.stages
        if stem.stages is not None
        else sizes[-1] > LARGEST_AUTOMATIC_STATE or len(sizes) <= patches
    ):
        # a residual block's 3×3 convolution with stride 2 and padding 1 rounds up
        sizes.append((sizes[-1] + (stem.kind == "res")) // 2)
    if sizes[-1] < SMALLEST_STATE:
        raise ConfigurationError(
            f"the stem shrinks {size}×{size} images to {sizes[-1]}×{sizes[-1]}, below the smallest "
            f"state of {SMALLEST_STATE}×{SMALLEST_STATE}; use fewer model.stem.stages "
            f"(now {stem.stages}), or set model.stem.padding to 1"
        )
    return sizes
