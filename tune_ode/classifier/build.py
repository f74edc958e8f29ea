"""`build_classifier`: from the configuration to the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from tune_ode.classifier.head import Head
from tune_ode.classifier.layers import ResidualBlock
from tune_ode.classifier.ode_block import OdeBlock
from tune_ode.classifier.stem import build_stem
from tune_ode.config import ExecutionConfig, ModelConfig, SolverConfig
from tune_ode.config.execution import ExecutionMode, MemoryFormat
from tune_ode.config.model import Architecture, stem_sizes
from tune_ode.errors import ConfigurationError
from tune_ode.solvers import SolveStatistics, StepSizeCache

SMALLEST_IMAGE = 8
LARGEST_IMAGE = 64
PLAIN = ExecutionConfig()
"""float32, the default memory format of the device, not compiled."""

MEMORY_FORMATS: dict[MemoryFormat, torch.memory_format] = {
    "contiguous": torch.contiguous_format,
    "channels_last": torch.channels_last,
}


class Classifier(nn.Module):
    """stem → blocks → head; the parameters are named `stem.*`, `blocks.*` and `head.*`."""

    def __init__(
        self, stem: nn.Module, blocks: nn.Sequential, head: nn.Module, execution: ExecutionConfig
    ) -> None:
        super().__init__()
        self.stem = stem
        self.blocks = blocks
        self.head = head
        self.execution = execution

    def place(self, device: torch.device) -> Classifier:
        """Move the classifier to a device, in the memory format for it, and return it."""
        self.to(device).to(memory_format=self._memory_format(device))
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Classify normalized images.

        Args:
            images: float (B, C, H, W), of the shape that the classifier was built for.

        Returns:
            Logits (B, classes).

        Raises:
            SolveFailed: a solve violated one of its bounds; with the adjoint, also in backward.
        """
        images = images.contiguous(memory_format=self._memory_format(images.device))
        if self.execution.compile and images.is_cuda:
            # blocks of one shape share the memory of a CUDA graph until the next pass
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        half = self.execution.precision == "bf16"
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=half):
            logits: Tensor = self.head(self.blocks(self.stem(images)))
        return logits.float() if half else logits

    def solve_by(self, solver: SolverConfig) -> None:
        """Replace the solver of the ODE blocks."""
        for block in self._ode_blocks():
            block.solver = solver

    @property
    def step_sizes(self) -> list[StepSizeCache]:
        """Return copies of the ODE blocks' first step sizes; set them to restore them."""
        return [block.step_sizes.copy() for block in self._ode_blocks()]

    @step_sizes.setter
    def step_sizes(self, saved: Sequence[StepSizeCache]) -> None:
        for block, step_sizes in zip(self._ode_blocks(), saved, strict=True):
            block.step_sizes = step_sizes

    @property
    def statistics(self) -> SolveStatistics:
        """Return the cost of the solves since the last reset, summed over the blocks."""
        return sum((block.statistics for block in self._ode_blocks()), SolveStatistics())

    @property
    def execution_mode(self) -> ExecutionMode:
        """Return how the ODE blocks have run so far; a ResNet has none and is not compiled."""
        return next((block.execution_mode for block in self._ode_blocks()), "eager")

    def reset_statistics(self) -> None:
        """Set the counts of every block to zero."""
        for block in self._ode_blocks():
            block.statistics.reset()

    def _memory_format(self, device: torch.device) -> torch.memory_format:
        # Tensor cores are fastest with channels last. On a CPU group normalization loses three
        # times what the convolutions gain (docs/concepts/choosing-a-solver.md).
        name = self.execution.memory_format
        if name is None:
            name = "channels_last" if device.type == "cuda" else "contiguous"
        return MEMORY_FORMATS[name]

    def _ode_blocks(self) -> list[OdeBlock]:
        return [block for block in self.blocks if isinstance(block, OdeBlock)]


def build_classifier(
    model: ModelConfig,
    solver: SolverConfig,
    *,
    input_shape: tuple[int, int, int],
    classes: int,
    execution: ExecutionConfig = PLAIN,
) -> Classifier:
    """Build a classifier with torch's default initialization, on the CPU.

    Args:
        model: the network. The baseline `resnet` ignores `model.ode`.
        solver: how its ODE blocks are solved.
        input_shape: (C, H, W) of an image; H = W, 8 to 64 pixels.
        classes: number of classes, at least 2.
        execution: precision, memory format, compilation.

    Raises:
        ConfigurationError: images or classes out of range, or a stem that leaves a state smaller
            than 4×4 pixels.
    """
    image_channels, height, width = input_shape
    if image_channels < 1 or height != width or not SMALLEST_IMAGE <= height <= LARGEST_IMAGE:
        raise ConfigurationError(
            f"images must be square, {SMALLEST_IMAGE} to {LARGEST_IMAGE} pixels per side, with "
            f"at least 1 channel; found {image_channels}×{height}×{width}; resize or crop them"
        )
    if classes < 2:
        raise ConfigurationError(f"a classifier needs at least 2 classes, found {classes}; add one")
    stages = len(stem_sizes(model.stem, height)) - 1
    blocks, channels = BLOCKS[model.architecture](model, solver, execution)
    return Classifier(
        stem=build_stem(model, image_channels, stages),
        blocks=nn.Sequential(*blocks),
        head=Head(model, channels, classes),
        execution=execution,
    )


def _ode_blocks(
    model: ModelConfig, solver: SolverConfig, execution: ExecutionConfig
) -> tuple[list[nn.Module], int]:
    """Build the ODE blocks; the first appends the augmented channels."""
    augmented = model.ode.augmented_channels
    channels = model.width + augmented
    block = partial(OdeBlock, config=model.ode, solver=solver, compile=execution.compile)
    first = block(model.width, augmented_channels=augmented)
    rest = [block(channels) for _ in range(model.blocks - 1)]
    return [first, *rest], channels


def _residual_blocks(
    model: ModelConfig, solver: SolverConfig, execution: ExecutionConfig
) -> tuple[list[nn.Module], int]:
    """Build the baseline: the same number of residual blocks, without an ODE."""
    blocks: list[nn.Module] = [
        ResidualBlock(model.normalization, model.activation, model.width)
        for _ in range(model.blocks)
    ]
    return blocks, model.width


Build = Callable[[ModelConfig, SolverConfig, ExecutionConfig], tuple[list[nn.Module], int]]
BLOCKS: dict[Architecture, Build] = {"ode": _ode_blocks, "resnet": _residual_blocks}
"""Builders by architecture; each returns the blocks and the channels of the state after them."""
