"""Schema of the post-training evaluation: confirmation.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tune_ode.records.record import (
    Amount,
    Count,
    Flag,
    Fraction,
    InvalidRecord,
    Number,
    Record,
    Seconds,
)
from tune_ode.records.schema import SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Solve(Record):
    """Cost and accuracy of a trained model with one solver."""

    method: str
    steps: Count | None
    """Steps of a fixed-grid method; null for an adaptive one."""
    rtol: Amount | None
    """Relative tolerance of an adaptive method; null on a fixed grid. `atol` equals it, except
    for the model's own solver."""
    own: Flag
    """Whether the model was trained with this solver."""
    evaluations: Amount | None
    """Function evaluations per batch, all blocks; null if the solve failed."""
    accuracy: Fraction | None
    """On images of the validation split, in [0, 1]; null if the solve failed."""

    def __post_init__(self) -> None:
        if self.accuracy is not None and self.evaluations is None:
            raise InvalidRecord("a solve with an accuracy must have evaluations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Record):
    """Prediction time, from normalized images on the device to logits on the device."""

    batch: Count
    """Images per prediction."""
    repetitions: Count
    median_ms: Amount
    low_ms: Amount
    high_ms: Amount
    """Median and quartiles, in milliseconds per batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation(Record):
    """Post-training evaluation of the best checkpoint: confirmation.json."""

    trial_id: str
    test_accuracy: Fraction
    """In [0, 1]."""
    test_loss: Number | None
    test_images: Count
    solve_images: Count
    """Images of the validation split that `solves` and `reference` were measured on."""
    solves: list[dict[str, Any]]
    """`Solve` records, the model's own solver first; empty for a ResNet."""
    reference: dict[str, Any] | None
    """`Solve` record at a tight tolerance; null for a ResNet. Like `solves`, in IEEE float32."""
    latencies: list[dict[str, Any]]
    """`Latency` records for a single image and for a large batch."""
    threads: Count
    """CPU threads of training and prediction."""
    cold_seconds: Seconds | None
    """Wall-clock seconds from the start of a fresh process, with empty compilation caches, to the
    end of training; null if the training was interrupted and resumed."""
    schema_version: Count = SCHEMA_VERSION

    def __post_init__(self) -> None:
        for solve in (*self.solves, *([] if self.reference is None else [self.reference])):
            Solve.from_json(solve)
        for latency in self.latencies:
            Latency.from_json(latency)
