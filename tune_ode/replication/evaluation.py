"""What a retrained model is put through: the test set once, other solvers, a stopwatch.

Only the score is taken from the test set. Solvers are compared on the validation split: who chooses
one by that comparison has then not chosen it by the test set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from tune_ode.config import AdaptiveSolver, FixedGridSolver, SolverConfig
from tune_ode.config.solver import TORCHDIFFEQ_ONLY, FixedGridMethod
from tune_ode.data import ImageData, evaluation_batches, split
from tune_ode.data.batches import EvaluationBatches
from tune_ode.errors import SolveFailed
from tune_ode.paths import RunPath, local_copy
from tune_ode.records import BEST_CHECKPOINT, Latency, Solve
from tune_ode.training import SavedModel, evaluate, load_model
from tune_ode.training.clock import synchronize

MOST_SOLVE_IMAGES = 1_000
"""Of the validation split: the same images for every solver, so that differences are paired."""
SOLVE_BATCH = 256
REFERENCE_TOLERANCE = 1e-5
"""Relative and absolute tolerance of the solution that others are held against; single precision
resolves 1e-7, and what it adds up over the steps must stay under the tolerance."""
MOST_EVALUATIONS = 2_000
"""Of a tight solve: the default bound of a training's."""
_STEPS = {"euler": (1, 2, 4, 8, 16), "rk4": (1, 2, 4)}
_OWN_STEPS = (1, 2, 4, 8)
_TOLERANCES = (1e-1, 1e-2, 1e-3)

LARGE_BATCH = 256
_FIRST_CALLS = 3
"""Before the stopwatch: memory is allocated, a GPU's kernels are chosen."""
_LEAST_CALLS, _MOST_CALLS = 10, 200
_LATENCY_SECONDS = 0.5


@dataclass(frozen=True)
class ModelEvaluation:
    """What a model is like; the fields are those of `records.Confirmation`."""

    test_accuracy: float
    test_loss: float
    test_images: int
    solve_images: int
    solves: list[dict[str, Any]]
    reference: dict[str, Any] | None
    latencies: list[dict[str, Any]]


def evaluate_model(folder: RunPath, data: ImageData, device: torch.device) -> ModelEvaluation:
    """Examine the model of a trial's `best` checkpoint.

    Args:
        folder: the trial's, or its URL.
        data: what it was trained on.
        device: where.

    Raises:
        RunFolderError: there is no such checkpoint.
        SolveFailed: its own solver fails on the test set.
    """
    with local_copy(folder / BEST_CHECKPOINT) as file:
        saved = load_model(file, device)
    test = evaluation_batches(data.test_images, data.test_labels, saved.statistics, device)
    loss, accuracy = evaluate(saved.model, test)
    held_out = _held_out(saved, data, device)
    latencies = [_latency(saved, held_out, batch, device) for batch in (1, LARGE_BATCH)]
    solves, tight = _solves(saved, held_out)
    return ModelEvaluation(
        test_accuracy=accuracy,
        test_loss=loss,
        test_images=len(data.test_labels),
        solve_images=held_out.images,
        solves=[solve.to_json() for solve in solves],
        reference=None if tight is None else tight.to_json(),
        latencies=[latency.to_json() for latency in latencies],
    )


def _held_out(saved: SavedModel, data: ImageData, device: torch.device) -> EvaluationBatches:
    held = split(data.train_labels, saved.config.data).validation
    # evenly spaced: a folder's images lie sorted by class
    most = min(len(held), MOST_SOLVE_IMAGES)
    chosen = held[np.linspace(0, len(held) - 1, most).round().astype(np.int64)]
    return evaluation_batches(
        data.train_images[chosen],
        data.train_labels[chosen],
        saved.statistics,
        device,
        batch_size=SOLVE_BATCH,
    )


# --- other solvers ------------------------------------------------------------------------------


def solver_grid(own: FixedGridSolver | AdaptiveSolver) -> list[FixedGridSolver | AdaptiveSolver]:
    """Return cheaper and finer solvers to try on a model that was trained with its own."""
    steps = dict(_STEPS)
    adaptive = ["dopri5"]
    if own.method not in TORCHDIFFEQ_ONLY:
        if own.method in get_args(FixedGridMethod):
            steps.setdefault(own.method, _OWN_STEPS)
        elif own.method not in adaptive:
            adaptive.append(own.method)
    on_grid = [
        FixedGridSolver.model_validate({"method": method, "steps": count})
        for method, counts in steps.items()
        for count in counts
        if (method, count) != (own.method, getattr(own, "steps", None))
    ]
    return on_grid + [
        AdaptiveSolver.model_validate({"method": method, "rtol": tolerance, "atol": tolerance})
        for method in adaptive
        for tolerance in _TOLERANCES
        if (method, tolerance) != (own.method, getattr(own, "rtol", None))
    ]


def _solves(saved: SavedModel, held_out: EvaluationBatches) -> tuple[list[Solve], Solve | None]:
    if saved.config.model.architecture != "ode":
        return [], None
    model, own = saved.model, saved.config.solver
    # all in single precision: half of it has no tight tolerance, and would be a second difference
    model.execution = model.execution.model_copy(update={"precision": "fp32"})
    tight = AdaptiveSolver(
        rtol=REFERENCE_TOLERANCE, atol=REFERENCE_TOLERANCE, max_evaluations=MOST_EVALUATIONS
    )

    def solved(solver: SolverConfig, *, own: bool = False) -> Solve:
        model.solve_by(solver)
        model.reset_statistics()
        evaluations = accuracy = None
        try:
            accuracy = evaluate(model, held_out)[1]
            evaluations = model.statistics.evaluations_forward / len(held_out)
        except SolveFailed:
            pass  # null says it
        return Solve(
            method=solver.method,
            steps=solver.steps if isinstance(solver, FixedGridSolver) else None,
            rtol=solver.rtol if isinstance(solver, AdaptiveSolver) else None,
            own=own,
            evaluations=evaluations,
            accuracy=accuracy,
        )

    return [solved(own, own=True), *map(solved, solver_grid(own))], solved(tight)


# --- latency ------------------------------------------------------------------------------------


def _latency(
    saved: SavedModel, held_out: EvaluationBatches, batch: int, device: torch.device
) -> Latency:
    images = next(_of_size(held_out, batch))
    with torch.inference_mode():
        milliseconds = timed(lambda: saved.model(images), lambda: synchronize(device))
    low, median, high = np.percentile(milliseconds, (25, 50, 75))
    return Latency(
        batch=len(images),
        repetitions=len(milliseconds),
        median_ms=float(median),
        low_ms=float(low),
        high_ms=float(high),
    )


def _of_size(held_out: EvaluationBatches, batch: int) -> Iterator[Tensor]:
    """Yield batches of one size; a set with fewer images is repeated."""
    while True:
        for images, _ in held_out:
            yield images.repeat(-(-batch // len(images)), 1, 1, 1)[:batch]


def timed(call: Callable[[], object], wait: Callable[[], None]) -> list[float]:
    """Return the milliseconds of each of some calls, after a few that are not counted.

    Args:
        call: what is timed.
        wait: until the device has done it.
    """
    for _ in range(_FIRST_CALLS):
        call()
    wait()
    milliseconds: list[float] = []
    end = time.perf_counter() + _LATENCY_SECONDS
    while len(milliseconds) < _LEAST_CALLS or (
        len(milliseconds) < _MOST_CALLS and time.perf_counter() < end
    ):
        start = time.perf_counter()
        call()
        wait()
        milliseconds.append(1e3 * (time.perf_counter() - start))
    return milliseconds
