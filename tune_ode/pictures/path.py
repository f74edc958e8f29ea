"""The path of a state through an ODE block, from the stem to the head."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from analysis.plots import style
from tune_ode.classifier import Classifier
from tune_ode.classifier.ode_block import OdeBlock
from tune_ode.config.solver import REFERENCE_SOLVER
from tune_ode.errors import UsageError
from tune_ode.solvers import SolveStatistics, solve
from tune_ode.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEGS = 32
"""Number of equal parts of the interval of t."""
MAX_CLASSES = len(style.COLOURS)
"""Number of classes that can be distinguished in the picture."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PathData:
    """Data for `plot_path`: states of B images at T + 1 times."""

    times: Array
    """Times from 0 to t1, (T + 1,)."""
    points: Array
    """First two principal components of the states, (T + 1, B, 2)."""
    ends: Array
    """Final states by the model's own solver, (B, 2)."""
    explained: float
    """Fraction of the variance of all states that the two components explain."""
    confidence: Array
    """Probability of the true class if the head reads the state at that time, (T + 1, B)."""
    own_confidence: Array
    """The same for `ends`, (B,): the prediction of the model."""
    labels: tuple[str, ...]
    """Names of the true classes, (B,)."""
    solver: str


@torch.inference_mode()
def path_data(
    model: Classifier, images: Tensor, labels: Tensor, class_names: tuple[str, ...]
) -> PathData:
    """Return the states in a model's last ODE block, solved by the reference solver.

    Args:
        model: model in evaluation mode.
        images: normalized images, (B, C, H, W), B at least 3.
        labels: true classes, int64, (B,).
        class_names: names of all classes.

    Raises:
        UsageError: the model has no ODE block.
        SolveFailed: the reference solver reached one of its bounds.
    """
    block = model.blocks[-1]
    if not isinstance(block, OdeBlock):
        raise UsageError("a residual network has no path over t; draw a model with ODE blocks")
    state = model.blocks[:-1](model.stem(images))
    states = solve_path(block, state)
    end = block(state)
    logits = torch.stack([model.head(x) for x in [*states, end]])
    targets = labels.expand(len(logits), -1)[..., None]
    confidence = logits.softmax(-1).gather(-1, targets)[..., 0].double().numpy()
    points, ends, explained = _project(states, end)
    return PathData(
        times=np.linspace(0, block.t1, LEGS + 1),
        points=points,
        ends=ends,
        explained=explained,
        confidence=confidence[:-1],
        own_confidence=confidence[-1],
        labels=tuple(printable(class_names[int(label)]) for label in labels),
        solver=block.solver.method,
    )


def solve_path(block: OdeBlock, state: Tensor) -> Tensor:
    """Return the states of an ODE block at `LEGS` + 1 equidistant times by the reference solver.

    Args:
        block: ODE block; its own solver is not used.
        state: initial state without augmented channels, (B, C, H, W).

    Returns:
        States, (LEGS + 1, B, C + augmented channels, H, W).
    """
    x = torch.nn.functional.pad(state, (0, 0, 0, 0, 0, block.augmented_channels))
    planes = block.function.planes(*x.shape[-2:])
    leg = block.t1 / LEGS
    states, statistics = [x], SolveStatistics()

    def shifted(start: float, t: float | Tensor, x: Tensor) -> Tensor:
        derivative: Tensor = block.function(start + t, x, planes)
        return derivative

    for number in range(LEGS):
        field = partial(shifted, number * leg)
        x = solve(field, x, REFERENCE_SOLVER, t1=leg, statistics=statistics, parameters=())
        states.append(x)
    return torch.stack(states)


def plot_path(data: PathData, figure: Figure) -> None:
    """Draw the paths in the plane, and the probability of the true class over t."""
    figure.set_layout_engine("constrained")
    plane, confidence = figure.subplots(1, 2, width_ratios=(1.5, 1))
    style.set_style(plane)
    style.set_style(confidence)
    names = list(dict.fromkeys(data.labels))[:MAX_CLASSES]
    for name, colour, marker in zip(names, style.COLOURS, style.MARKERS, strict=False):
        indices = [i for i, label in enumerate(data.labels) if label == name]
        for i in indices:
            plane.plot(*data.points[:, i].T, alpha=0.75, color=colour, lw=1.0)
            confidence.plot(data.times, data.confidence[:, i], alpha=0.6, color=colour, lw=1.0)
        ends = data.points[-1, indices]
        plane.scatter(*ends.T, s=22, color=colour, marker=marker, label=name, zorder=3)
    plane.scatter(*data.points[0].T, s=5, color=style.INK, zorder=2, label="t = 0")
    cross: dict[str, Any] = {"color": style.INK, "s": 30, "marker": "x", "lw": 0.7, "zorder": 4}
    plane.scatter(*data.ends.T, label=f"end by own solver, {data.solver}", **cross)
    confidence.scatter(np.full(len(data.labels), data.times[-1]), data.own_confidence, **cross)
    plane.set_title("states, first two principal components", loc="left", fontsize=10)
    plane.set_xlabel(f"1st principal component (both: {data.explained:.0%} of the variance)")
    plane.set_ylabel("2nd principal component")
    confidence.set_title("probability of the true class at t", loc="left", fontsize=10)
    confidence.set_ylim(0, 1.02)
    confidence.set_xlabel("t")
    handles, names = plane.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower left", ncols=5, frameon=False, fontsize=8)


def _project(states: Tensor, end: Tensor) -> tuple[Array, Array, float]:
    """Project states and final states on the first two principal components of the states."""
    flat = states.flatten(2).double()
    mean = flat.mean((0, 1))
    centred = flat - mean
    _, singular_values, axes = torch.linalg.svd(centred.flatten(0, 1), full_matrices=False)
    variance = singular_values.square()
    explained = float(variance[:2].sum() / variance.sum())
    points = centred @ axes[:2].T
    ends = (end.flatten(1).double() - mean) @ axes[:2].T
    return points.numpy(), ends.numpy(), explained
