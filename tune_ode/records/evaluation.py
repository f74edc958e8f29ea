"""Schema of the post-training evaluation: confirmation.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tune_ode.records.record import Record
from tune_ode.records.schema import SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Solve(Record):
    """Cost and accuracy of a trained model with one solver."""

    method: str
    steps: int | None
    """Steps of a fixed-grid method; null for an adaptive one."""
    rtol: float | None
    """Relative tolerance of an adaptive method; null on a fixed grid. `atol` equals it, except
    for the model's own solver."""
    own: bool
    """Whether the model was trained with this solver."""
    evaluations: float | None
    """Function evaluations per batch, all blocks; null if the solve failed."""
    accuracy: float | None
    """On images of the validation split, in [0, 1]; null if the solve failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Record):
    """Prediction time, from normalized images on the device to logits on the device."""

    batch: int
    """Images per prediction."""
    repetitions: int
    median_ms: float
    low_ms: float
    high_ms: float
    """Median and quartiles, in milliseconds per batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation(Record):
    """Post-training evaluation of the best checkpoint: confirmation.json."""

    trial_id: str
    test_accuracy: float
    """In [0, 1]."""
    test_loss: float
    test_images: int
    solve_images: int
    """Images of the validation split that `solves` and `reference` were measured on."""
    solves: list[dict[str, Any]]
    """`Solve` records, the model's own solver first; empty for a ResNet."""
    reference: dict[str, Any] | None
    """`Solve` record at a tight tolerance; null for a ResNet. Like `solves`, in IEEE float32."""
    latencies: list[dict[str, Any]]
    """`Latency` records for a single image and for a large batch."""
    threads: int
    """CPU threads of training and prediction."""
    cold_seconds: float | None
    """Wall-clock seconds from the start of a fresh process, with empty compilation caches, to the
    end of training; null if the training was interrupted and resumed."""
    schema_version: int = SCHEMA_VERSION
