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
from tune_ode.config import AdaptiveSolver
from tune_ode.errors import UsageError
from tune_ode.replication.evaluation import REFERENCE_TOLERANCE
from tune_ode.solvers import SolveStatistics, solve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEGS = 32
"""Parts that the interval of t is cut into."""
CLASSES = len(style.COLOURS)
"""That can be told apart in the picture."""
_TIGHT = AdaptiveSolver(rtol=REFERENCE_TOLERANCE, atol=REFERENCE_TOLERANCE)

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PathData:
    """What `plot_path` draws: of B images at T + 1 times."""

    times: Array
    """(T + 1,), from 0."""
    points: Array
    """(T + 1, B, 2): the states, by their first two principal components."""
    ends: Array
    """(B, 2): where the model's own solver says that they end."""
    explained: float
    """Share of the states' variance, over all times and images, that the plane shows."""
    confidence: Array
    """(T + 1, B): what the head, reading the state at that time, gives the true class."""
    own_confidence: Array
    """(B,): the same of `ends`: what the model says."""
    labels: tuple[str, ...]
    """(B,): names of the true classes."""
    solver: str


@torch.inference_mode()
def path_data(
    model: Classifier, images: Tensor, labels: Tensor, class_names: tuple[str, ...]
) -> PathData:
    """Solve a model's last ODE block tightly, and look at the state on its way.

    Args:
        model: in evaluation mode.
        images: normalized, (B, C, H, W), B at least 3.
        labels: int64, (B,).
        class_names: of all classes.

    Raises:
        QuestionError: the model has no ODE block: it is the residual baseline.
        SolveFailed: the tight solve meets one of its bounds.
    """
    block = model.blocks[-1]
    if not isinstance(block, OdeBlock):
        raise UsageError("a residual network has no path over t; draw a model with ODE blocks")
    state = model.blocks[:-1](model.stem(images))
    states = path(block, state)
    own = block(state)
    logits = torch.stack([model.head(x) for x in [*states, own]])
    true = labels.expand(len(logits), -1)[..., None]
    confidence = logits.softmax(-1).gather(-1, true)[..., 0].double().numpy()
    points, ends, explained = _plane(states, own)
    return PathData(
        times=np.linspace(0, block.t1, LEGS + 1),
        points=points,
        ends=ends,
        explained=explained,
        confidence=confidence[:-1],
        own_confidence=confidence[-1],
        labels=tuple(class_names[int(label)] for label in labels),
        solver=block.solver.method,
    )


def path(block: OdeBlock, state: Tensor) -> Tensor:
    """Return an ODE block's states at `LEGS` + 1 times from 0 to its end, solved tightly.

    Args:
        block: of which the solver is not asked.
        state: (B, C, H, W), without the augmented channels.

    Returns:
        (LEGS + 1, B, C + augmented channels, H, W).
    """
    x = torch.nn.functional.pad(state, (0, 0, 0, 0, 0, block.augmented_channels))
    planes = block.function.planes(*x.shape[-2:])
    leg = block.t1 / LEGS
    states = [x]

    def shifted(start: float, t: float | Tensor, x: Tensor) -> Tensor:
        slope: Tensor = block.function(start + t, x, planes)
        return slope

    for number in range(LEGS):
        f = partial(shifted, number * leg)
        states.append(
            solve(f, states[-1], _TIGHT, t1=leg, statistics=SolveStatistics(), parameters=())
        )
    return torch.stack(states)


def plot_path(data: PathData, figure: Figure) -> None:
    """Draw the paths in their plane and, beside it, what the head reads on the way."""
    plane, confidence = figure.subplots(1, 2, width_ratios=(1.5, 1))
    style.plain(plane)
    style.plain(confidence)
    names = list(dict.fromkeys(data.labels))[:CLASSES]
    for place, name in enumerate(names):
        mine = [i for i, label in enumerate(data.labels) if label == name]
        look: dict[str, Any] = {"color": style.COLOURS[place], "lw": 1.0}
        for i in mine:
            plane.plot(*data.points[:, i].T, alpha=0.75, **look)
            confidence.plot(data.times, data.confidence[:, i], alpha=0.6, **look)
        ends = data.points[-1, mine]
        marker = style.MARKERS[place]
        plane.scatter(*ends.T, s=22, color=look["color"], marker=marker, label=name, zorder=3)
    plane.scatter(*data.points[0].T, s=5, color=style.INK, zorder=2, label="t = 0")
    cross: dict[str, Any] = {"color": style.INK, "s": 30, "marker": "x", "lw": 0.7, "zorder": 4}
    plane.scatter(*data.ends.T, label=f"end by its own solver, {data.solver}", **cross)
    confidence.scatter(np.full(len(data.labels), data.times[-1]), data.own_confidence, **cross)
    plane.set_title("states, in the plane that shows most of them", loc="left", fontsize=10)
    plane.set_xlabel(f"1st principal component ({data.explained:.0%} of the variance in both)")
    plane.set_ylabel("2nd principal component")
    confidence.set_title("probability of the true class, read at t", loc="left", fontsize=10)
    confidence.set_ylim(0, 1.02)
    confidence.set_xlabel("t")
    handles, names = plane.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower left", ncols=5, frameon=False, fontsize=8)


def _plane(states: Tensor, own: Tensor) -> tuple[Array, Array, float]:
    """Project the states, and the ends by the model's own solver, on two principal components."""
    flat = states.flatten(2).double()
    middle = flat.mean((0, 1))
    centred = (flat - middle).flatten(0, 1)
    _, sizes, axes = torch.linalg.svd(centred, full_matrices=False)
    explained = float(sizes[:2].square().sum() / sizes.square().sum())
    points = (flat - middle) @ axes[:2].T
    ends = (own.flatten(1).double() - middle) @ axes[:2].T
    return points.numpy(), ends.numpy(), explained
