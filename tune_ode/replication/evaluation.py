"""Post-training evaluation: test accuracy, other solvers, prediction latency.

Only the test accuracy uses the test set. Solvers are compared on the validation split, so that a
solver chosen by the comparison is not chosen by the test set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from tune_ode.config import AdaptiveSolver, FixedGridSolver, SolverConfig, TrialConfig
from tune_ode.config.solver import REFERENCE_SOLVER, TORCHDIFFEQ_ONLY, FixedGridMethod
from tune_ode.data import ImageData, evaluation_batches, require_unchanged, split
from tune_ode.data.batches import EvaluationBatches
from tune_ode.errors import SolveFailed
from tune_ode.paths import local_copy
from tune_ode.records import BEST_CHECKPOINT, Confirmation, Latency, Solve
from tune_ode.training import SavedModel, evaluate, load_model
from tune_ode.training.clock import synchronize
from tune_ode.training.precision import ieee_fp32
from tune_ode.worker.task import Task, load_cached

MAX_SOLVE_IMAGES = 1_000
"""Images of the validation split; all solvers use the same, so that differences are paired."""
SOLVE_BATCH = 256
_STEPS = {"euler": (1, 2, 4, 8, 16), "rk4": (1, 2, 4)}
_OWN_STEPS = (1, 2, 4, 8)
_TOLERANCES = (1e-1, 1e-2, 1e-3)

LARGE_BATCH = 256
_WARMUP_CALLS = 3
"""Calls before timing, in which memory is allocated and GPU kernels are selected."""
_MIN_CALLS, _MAX_CALLS = 10, 200
_LATENCY_SECONDS = 0.5


def evaluate_model(task: Task) -> Confirmation:
    """Evaluate the model of a trial's `best` checkpoint.

    Args:
        task: the finished training.

    Returns:
        The evaluation, without `cold_seconds`.

    Raises:
        RunFolderError: there is no such checkpoint.
        SolveFailed: the model's own solver fails on the test set.
    """
    device = torch.device(task.device)
    with local_copy(task.folder / BEST_CHECKPOINT) as file:
        saved = load_model(file, device)
    # the images may have moved since the checkpoint was written
    data = load_cached(TrialConfig.from_dict(task.config).data, task.data_dir)
    require_unchanged(data, task.fingerprint, task.run_folder)
    test = evaluation_batches(data.test_images, data.test_labels, saved.statistics, device)
    loss, accuracy = evaluate(saved.model, test)
    held_out = _held_out(saved, data, device)
    latencies = [_latency(saved, held_out, batch, device) for batch in (1, LARGE_BATCH)]
    with ieee_fp32(device):  # other arithmetic cannot reach the reference tolerance
        solves, reference = _solves(saved, held_out)
    return Confirmation(
        trial_id=task.trial_id,
        test_accuracy=accuracy,
        test_loss=loss,
        test_images=len(data.test_labels),
        solve_images=held_out.images,
        solves=[solve.to_json() for solve in solves],
        reference=None if reference is None else reference.to_json(),
        latencies=[latency.to_json() for latency in latencies],
        threads=task.threads,
        cold_seconds=None,
    )


def _held_out(saved: SavedModel, data: ImageData, device: torch.device) -> EvaluationBatches:
    validation = split(data, saved.config.data).validation
    # evenly spaced: the images of a folder are sorted by class
    number = min(len(validation), MAX_SOLVE_IMAGES)
    chosen = validation[np.linspace(0, len(validation) - 1, number).round().astype(np.int64)]
    return evaluation_batches(
        data.train_images[chosen],
        data.train_labels[chosen],
        saved.statistics,
        device,
        batch_size=SOLVE_BATCH,
    )


def solver_grid(own: FixedGridSolver | AdaptiveSolver) -> list[FixedGridSolver | AdaptiveSolver]:
    """Return cheaper and finer solvers to compare with a model's own solver."""
    steps = dict(_STEPS)
    adaptive = ["dopri5"]
    if own.method not in TORCHDIFFEQ_ONLY:
        if own.method in get_args(FixedGridMethod):
            steps.setdefault(own.method, _OWN_STEPS)
        elif own.method not in adaptive:
            adaptive.append(own.method)
    fixed_grid = [
        FixedGridSolver.model_validate({"method": method, "steps": count})
        for method, counts in steps.items()
        for count in counts
        if (method, count) != (own.method, getattr(own, "steps", None))
    ]
    return fixed_grid + [
        AdaptiveSolver.model_validate({"method": method, "rtol": tolerance})
        for method in adaptive
        for tolerance in _TOLERANCES
        if (method, tolerance) != (own.method, getattr(own, "rtol", None))
    ]


def _solves(saved: SavedModel, held_out: EvaluationBatches) -> tuple[list[Solve], Solve | None]:
    if saved.config.model.architecture != "ode":
        return [], None
    model, own = saved.model, saved.config.solver
    model.execution = model.execution.model_copy(update={"precision": "fp32"})

    def solve_with(solver: SolverConfig, *, own: bool = False) -> Solve:
        model.solve_by(solver)
        model.reset_statistics()
        evaluations = accuracy = None
        try:
            accuracy = evaluate(model, held_out)[1]
            evaluations = model.statistics.evaluations_forward / len(held_out)
        except SolveFailed:
            pass  # recorded as null
        return Solve(
            method=solver.method,
            steps=solver.steps if isinstance(solver, FixedGridSolver) else None,
            rtol=solver.rtol if isinstance(solver, AdaptiveSolver) else None,
            own=own,
            evaluations=evaluations,
            accuracy=accuracy,
        )

    solves = [solve_with(own, own=True), *map(solve_with, solver_grid(own))]
    return solves, solve_with(REFERENCE_SOLVER)


def _latency(
    saved: SavedModel, held_out: EvaluationBatches, batch: int, device: torch.device
) -> Latency:
    images = next(_batches_of(held_out, batch))
    with torch.inference_mode():
        milliseconds = time_calls(lambda: saved.model(images), lambda: synchronize(device))
    low, median, high = np.percentile(milliseconds, (25, 50, 75))
    return Latency(
        batch=len(images),
        repetitions=len(milliseconds),
        median_ms=float(median),
        low_ms=float(low),
        high_ms=float(high),
    )


def _batches_of(held_out: EvaluationBatches, size: int) -> Iterator[Tensor]:
    """Yield batches of a size; smaller batches are filled by repetition."""
    while True:
        for images, _ in held_out:
            yield images.repeat(-(-size // len(images)), 1, 1, 1)[:size]


def time_calls(call: Callable[[], object], wait: Callable[[], None]) -> list[float]:
    """Return the milliseconds of 10 to 200 calls, after a warm-up.

    Args:
        call: function to time.
        wait: synchronizes with the device.
    """
    for _ in range(_WARMUP_CALLS):
        call()
    wait()
    milliseconds: list[float] = []
    end = time.perf_counter() + _LATENCY_SECONDS
    while len(milliseconds) < _MIN_CALLS or (
        len(milliseconds) < _MAX_CALLS and time.perf_counter() < end
    ):
        start = time.perf_counter()
        call()
        wait()
        milliseconds.append(1e3 * (time.perf_counter() - start))
    return milliseconds
