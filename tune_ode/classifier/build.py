"""Configuration → network: `build_classifier`."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from tune_ode.classifier.head import Head
from tune_ode.classifier.layers import ResidualBlock
from tune_ode.classifier.ode_block import OdeBlock
from tune_ode.classifier.stem import build_stem
from tune_ode.config import ModelConfig, SolverConfig
from tune_ode.config.model import Architecture, stem_sizes
from tune_ode.errors import ConfigurationError
from tune_ode.solvers import SolveStatistics

SMALLEST_IMAGE = 8
LARGEST_IMAGE = 64


class Classifier(nn.Module):
    """stem → blocks → head; its parameters are named `stem.*`, `blocks.*` and `head.*`."""

    def __init__(self, stem: nn.Module, blocks: nn.Sequential, head: nn.Module) -> None:
        super().__init__()
        self.stem = stem
        self.blocks = blocks
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Classify normalized images.

        Args:
            images: float, (B, C, H, W) of the shape the classifier was built for.

        Returns:
            Logits, (B, classes).

        Raises:
            SolveFailed: a solve met one of its bounds; with the adjoint, also in backward.
        """
        logits: Tensor = self.head(self.blocks(self.stem(images)))
        return logits

    @property
    def statistics(self) -> SolveStatistics:
        """What the solves cost since the last reset, summed over the blocks; a copy."""
        return sum((block.statistics for block in self._ode_blocks()), SolveStatistics())

    def reset_statistics(self) -> None:
        """Set every block's counts to zero."""
        for block in self._ode_blocks():
            block.statistics.reset()

    def _ode_blocks(self) -> list[OdeBlock]:
        return [block for block in self.blocks if isinstance(block, OdeBlock)]


def build_classifier(
    model: ModelConfig, solver: SolverConfig, *, input_shape: tuple[int, int, int], classes: int
) -> Classifier:
    """Build a classifier with torch's default initialization, on the CPU.

    Args:
        model: the network. The baseline `resnet` has no use for `model.ode`.
        solver: how its ODE blocks are solved.
        input_shape: (C, H, W) of an image; square, 8 to 64 pixels a side.
        classes: number of classes, at least 2.

    Raises:
        ConfigurationError: images or classes out of range, or a stem that leaves a state under
            4×4 pixels.
    """
    image_channels, height, width = input_shape
    if image_channels < 1 or height != width or not SMALLEST_IMAGE <= height <= LARGEST_IMAGE:
        raise ConfigurationError(
            f"images must be square, {SMALLEST_IMAGE} to {LARGEST_IMAGE} pixels a side, with at "
            f"least 1 channel; found {image_channels}×{height}×{width}; resize or crop them first"
        )
    if classes < 2:
        raise ConfigurationError(f"a classifier needs at least 2 classes, found {classes}; add one")
    stages = len(stem_sizes(model.stem, height)) - 1
    blocks, channels = BLOCKS[model.architecture](model, solver)
    return Classifier(
        stem=build_stem(model, image_channels, stages),
        blocks=nn.Sequential(*blocks),
        head=Head(model, channels, classes),
    )


def _ode_blocks(model: ModelConfig, solver: SolverConfig) -> tuple[list[nn.Module], int]:
    """Build the ODE blocks; the first appends the augmented channels, which then stay."""
    augmented = model.ode.augmented_channels
    channels = model.width + augmented
    first = OdeBlock(model.width, model.ode, solver, augmented)
    rest = [OdeBlock(channels, model.ode, solver) for _ in range(model.blocks - 1)]
    return [first, *rest], channels


def _residual_blocks(model: ModelConfig, solver: SolverConfig) -> tuple[list[nn.Module], int]:
    """Build the baseline: the same number of residual blocks, and nothing to solve."""
    blocks: list[nn.Module] = [
        ResidualBlock(model.normalization, model.activation, model.width)
        for _ in range(model.blocks)
    ]
    return blocks, model.width


# name → the blocks and the channels of the state after them
BLOCKS: dict[Architecture, Callable[[ModelConfig, SolverConfig], tuple[list[nn.Module], int]]] = {
    "ode": _ode_blocks,
    "resnet": _residual_blocks,
}
