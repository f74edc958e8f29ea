"""Architecture diagram: output shape and number of parameters of each part of a network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from analysis.plots import style
from tune_ode.classifier import build_classifier
from tune_ode.classifier.ode_block import OdeBlock
from tune_ode.config import AdaptiveSolver, ModelConfig, OdeConfig, SolverConfig, TrialConfig
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STEP = 1.3
"""Distance between two parts, in units of about an inch."""
_MAX_HEIGHT = 1.7
_COLOURS = {"images": "#8c8c8c", "stem": "#56B4E9", "blocks": "#E69F00", "head": "#009E73"}


@dataclass(frozen=True)
class Part:
    """One part of the network."""

    section: str
    """`images`, `stem`, `blocks` or `head`."""
    label: str
    shape: tuple[int, ...]
    """Shape of its output without the batch: (C, H, W), or (C,) after pooling."""
    parameters: int


@dataclass(frozen=True)
class ArchitectureData:
    """Data for `plot_architecture`."""

    parts: tuple[Part, ...]
    function: tuple[str, ...]
    """Layers of the vector field, in order; empty for the residual baseline."""
    solver: str
    parameters: int
    """Number of parameters of the network."""


def architecture_data(
    config: TrialConfig, input_shape: tuple[int, int, int], classes: int
) -> ArchitectureData:
    """Build the network of a configuration and record its shapes.

    Args:
        config: configuration of the network.
        input_shape: shape of an image, (C, H, W).
        classes: number of classes.

    Raises:
        ConfigurationError: the network cannot process images of this shape.
    """
    model = build_classifier(
        config.model, config.solver, input_shape=input_shape, classes=classes
    ).eval()
    shapes: dict[nn.Module, tuple[int, ...]] = {}

    def record_shape(module: nn.Module, _: Any, output: torch.Tensor) -> None:
        pooled = output.shape[-1] == 1
        shapes[module] = tuple((output.flatten(1) if pooled else output).shape[1:])

    parts = list(_parts(config.model, model))
    for _, _, modules in parts:
        modules[-1].register_forward_hook(record_shape)
    with torch.inference_mode():
        model(torch.zeros(1, *input_shape))
    network = [
        Part(section, label, shapes[modules[-1]], sum(map(_count, modules)))
        for section, label, modules in parts
    ]
    is_ode = config.model.architecture == "ode"
    return ArchitectureData(
        parts=(Part("images", "image", input_shape, 0), *network),
        function=tuple(_function(config.model.ode)) if is_ode else (),
        solver=_solver_text(config.solver, config.model.ode) if is_ode else "",
        parameters=_count(model),
    )


def plot_architecture(data: ArchitectureData, figure: Figure) -> None:
    """Draw the parts from left to right and the layers of the vector field below them."""
    ax = figure.add_axes((0, 0, 1, 1))
    ax.axis("off")
    ax.set_aspect("equal")
    width = _STEP * len(data.parts)
    ax.set_xlim(-0.25, max(width, _STEP * len(data.function)) + 0.1)
    ax.set_ylim(-3.2 if data.function else -1.1, _MAX_HEIGHT + 0.75)
    largest = max(part.shape[-1] for part in data.parts if len(part.shape) == 3)
    for index, part in enumerate(data.parts):
        _draw_part(ax, index * _STEP, part, largest)
    title = (
        f"{data.parameters:,} parameters; above each part its output shape, below its parameters"
    )
    ax.text(-0.2, _MAX_HEIGHT + 0.55, title, fontsize=9)
    if data.function:
        block = next(i for i, part in enumerate(data.parts) if part.label.startswith("ODE"))
        _draw_function(ax, block * _STEP, data)


def figure_size(data: ArchitectureData) -> tuple[float, float]:
    """Return the width and height of the figure, in inches."""
    width = _STEP * max(len(data.parts), len(data.function)) + 0.35
    return width, _MAX_HEIGHT + (3.95 if data.function else 1.85)


def _parts(config: ModelConfig, model: nn.Module) -> Iterator[tuple[str, str, list[nn.Module]]]:
    """Yield the section, label and modules of each part; the last module has its output."""
    stem: Any = model.stem
    head: Any = model.head
    norm_activation = _norm_activation(config.normalization, config.activation)
    convolution = f"{norm_activation}conv 3×3"
    halving, extra_layer = {
        "conv": (f"{norm_activation}conv 4×4,\nstride 2", convolution),
        "res": ("residual block,\nstride 2", "residual block"),
        "pool": (f"max pool,\n{convolution}", convolution),
        "patch": ("", convolution),
    }[config.stem.kind]
    side = stem.first.kernel_size[0]
    patches = f",\nstride {side}" if config.stem.kind == "patch" else ""
    yield "stem", f"conv {side}×{side}{patches}", [stem.first]
    for stage in stem.stages:
        yield "stem", halving, [stage]
    for extra in stem.extra:
        yield "stem", extra_layer, [extra]
    if config.stem.width not in (None, config.width):
        yield "stem", "conv 1×1", [stem.project]
    for block in model.blocks:  # type: ignore[union-attr]
        label = "residual block"
        if isinstance(block, OdeBlock):
            label = f"ODE block\nx(0) → x({config.ode.integration_time:g})"
        yield "blocks", label, [block]
    yield "head", f"{norm_activation}{config.head.pooling} pool", [head.activated, head.pool]
    for hidden in head.hidden:
        yield "head", f"linear\n{config.activation}", [hidden]
    dropout = f"dropout {config.head.dropout:g}\n" if config.head.dropout else ""
    yield "head", f"{dropout}linear", [head.output]


def _function(config: OdeConfig) -> Iterator[str]:
    norm_activation = _norm_activation(config.normalization, config.activation)
    yield "t, x"
    for _ in range(config.convolutions):
        yield f"{norm_activation}conv 3×3\nof [t, ·]"
    if config.normalization != "none":
        yield f"{config.normalization} norm"
    yield "dx/dt"


def _norm_activation(normalization: str, activation: str) -> str:
    return f"{activation}\n" if normalization == "none" else f"{normalization} norm\n{activation}\n"


def _solver_text(solver: SolverConfig, ode: OdeConfig) -> str:
    accuracy = (
        f"rtol {solver.rtol:g}, atol {solver.absolute_tolerance:g}"
        if isinstance(solver, AdaptiveSolver)
        else pluralize(solver.steps, "step")
    )
    return f"solved by {solver.method}, {accuracy}; gradient by {solver.gradient}"


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _draw_part(ax: Axes, left: float, part: Part, largest: int) -> None:
    from matplotlib.patches import Rectangle

    side = part.shape[-1] if len(part.shape) == 3 else 1
    height = max(_MAX_HEIGHT * side / largest, 0.12)
    width = 0.08 * math.log2(1 + part.shape[0])
    middle = left + _STEP / 2 - 0.25
    colour = _COLOURS[part.section]
    ax.add_patch(
        Rectangle(
            (middle - width / 2, (_MAX_HEIGHT - height) / 2), width, height,
            facecolor=colour, edgecolor=style.INK, lw=0.8, alpha=0.85,
        )
    )  # fmt: skip
    shape = "×".join(map(str, part.shape))
    ax.text(middle, (_MAX_HEIGHT + height) / 2 + 0.1, shape, ha="center", fontsize=8)
    label = part.label + (f"\n{part.parameters:,}" if part.parameters else "")
    ax.text(middle, -0.1, label, ha="center", va="top", fontsize=8, linespacing=1.3)
    if part.section != "images":
        _arrow(ax, middle - _STEP + 0.32, middle - 0.32, _MAX_HEIGHT / 2)


def _draw_function(ax: Axes, block: float, data: ArchitectureData) -> None:
    top, bottom = -1.5, -3.1
    right = _STEP * len(data.function) - 0.1
    frame: Sequence[float] = (-0.2, right, right, -0.2, -0.2)
    ax.plot(frame, (top, top, bottom, bottom, top), color=style.INK, lw=0.8, ls="--")
    middle = block + _STEP / 2 - 0.25
    for corner in (-0.2, right):
        ax.plot((middle, corner), (-0.75, top), color=style.INK, lw=0.6, ls=":")
    ax.text(-0.1, top - 0.22, f"f of dx/dt = f(t, x, θ), {data.solver}", fontsize=9, va="center")
    for index, label in enumerate(data.function):
        centre = index * _STEP + _STEP / 2 - 0.2
        ax.text(
            centre, (top + bottom) / 2 - 0.2, label,
            ha="center", va="center", fontsize=8, linespacing=1.3,
            bbox={"boxstyle": "round,pad=0.35", "fc": "#fbeed2", "ec": style.INK, "lw": 0.7},
        )  # fmt: skip
        if index:
            _arrow(ax, centre - _STEP + 0.42, centre - 0.42, (top + bottom) / 2 - 0.2)


def _arrow(ax: Axes, start: float, end: float, height: float) -> None:
    arrow = {"arrowstyle": "->", "color": style.INK, "lw": 0.8}
    ax.annotate("", (end, height), (start, height), arrowprops=arrow)
