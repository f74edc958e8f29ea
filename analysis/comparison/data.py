"""Summary of a comparison: seconds, evaluations and accuracy of each case over its seeds.

A case is a way to solve and differentiate one network: METHOD:GRADIENT, or `resnet`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from analysis.plots.style import Band
from analysis.statistics import Sample, finite_or_none, with_interval
from tune_ode.records import Outcome

EXPECTED = ("euler:adjoint", "rk4:adjoint", "dopri5:backprop", "dopri5:adjoint")
"""Published order, from the fewest to the most seconds per epoch."""


@dataclass(frozen=True)
class Published:
    """Published figures of a case: MNIST, one GPU."""

    seconds: float
    """Wall-clock seconds per epoch."""
    nfe_forward: float
    nfe_backward: float


PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        "dopri5:backprop": Published(33.06, 26.2, 0.0),
        "euler:adjoint": Published(6.62, 1.0, 1.0),
        "rk4:adjoint": Published(8.92, 4.0, 4.0),
        "dopri5:adjoint": Published(45.2, 26.2, 20.0),
    }
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case over its seeds; figures are of completed trainings."""

    name: str
    outcomes: tuple[str, ...]
    """Outcomes of the trainings that ended."""
    reasons: tuple[str, ...]
    """Reasons of those that did not complete."""
    seconds: Sample
    """Training seconds per epoch."""
    seconds_by_seed: Mapping[int, float]
    wall_seconds: Sample
    """Wall-clock seconds per epoch, including evaluation and checkpoints, without warm-up."""
    nfe_forward: float
    """Per batch, mean over epochs and seeds; NaN without a completed training."""
    nfe_backward: float
    vjp_backward: float
    peak_memory: float
    """Bytes on the device, maximum over seeds; NaN if not measured."""
    train: Sample
    """Accuracy in the last epoch, on augmented images."""
    val: Sample
    test: Sample
    """Accuracy after the last epoch."""
    train_curve: Band
    """By epoch, over all trainings that reported it: mean, minimum and maximum."""
    test_curve: Band
    disturbed: int
    """Number of trainings whose clock looks disturbed."""

    def to_dict(self, published: Published | None) -> dict[str, Any]:
        """Return the figures as JSON values; None for those that were not measured."""
        return finite_or_none(
            {
                "case": self.name,
                "trainings": len(self.outcomes),
                "completed": self.outcomes.count(Outcome.COMPLETED),
                **with_interval("seconds_per_epoch", self.seconds),
                **with_interval("wall_seconds_per_epoch", self.wall_seconds),
                "nfe_forward": self.nfe_forward,
                "nfe_backward": self.nfe_backward,
                "vjp_backward": self.vjp_backward,
                "peak_memory_bytes": self.peak_memory,
                "train_accuracy": self.train.mean,
                "val_accuracy": self.val.mean,
                **with_interval("test_accuracy", self.test),
                "published_seconds_per_epoch": published and published.seconds,
                "published_nfe_forward": published and published.nfe_forward,
                "published_nfe_backward": published and published.nfe_backward,
            }
        )


@dataclass(frozen=True, kw_only=True)
class ComparisonSummary:
    """A comparison, complete or not."""

    cases: tuple[Case, ...]
    """In the order of the command line."""
    dataset: str
    epochs: int
    seeds: int
    train_images: int | None
    test_images: int | None
    device: str
    unfinished: int
    """Number of trainings that have not ended."""

    @property
    def measured(self) -> tuple[Case, ...]:
        """Cases with at least one completed training."""
        return tuple(case for case in self.cases if case.seconds.count)

    def published(self, case: Case) -> Published | None:
        """Return the published figures of a case; None for data other than MNIST."""
        return PUBLISHED.get(case.name) if self.dataset == "mnist" else None

    def to_records(self) -> list[dict[str, Any]]:
        """Return one row per case as JSON values."""
        return [case.to_dict(self.published(case)) for case in self.cases]
