"""Summary of a confirmation: the best trials of a search, retrained with fresh seeds.

Candidates are ranked like trials, by accuracy per second above the same floor, now as a mean over
seeds. Seconds vary by factors, so the mean is that of the logarithm. A seed that never reaches the
floor has rate 0: the mean is multiplied by the share of seeds that reach it. See
docs/concepts/confirm.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.statistics import CONFIDENCE, Sample, finite_or_none, with_interval
from tune_ode.records import Outcome

MAX_ODE_GAP = 0.02
"""A model that loses more accuracy than this at a tight tolerance is marked as discrete."""
NAN = math.nan


@dataclass(frozen=True)
class SolverScore:
    """Models of a candidate evaluated with one solver; means over seeds."""

    method: str
    steps: int | None
    rtol: float | None
    own: bool
    """Whether the models were trained with this solver."""
    evaluations: float
    """Function evaluations per batch, summed over blocks."""
    accuracy: float


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a prediction for a batch of images: median and quartiles."""

    batch: int
    median_ms: float
    low_ms: float
    high_ms: float


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A configuration retrained with several seeds; NaN for what was not measured."""

    trial_id: str
    """Trial of the search, or `records.DEFAULT`."""
    params: Mapping[str, Any]
    is_default: bool
    outcomes: tuple[str, ...]
    """Outcomes of the trainings that ended, by seed."""
    reached: int
    """Number of trainings that reached the floor."""
    test: Sample
    """Test accuracy of the model with the best validation accuracy."""
    val: Sample
    """Best validation accuracy."""
    log_seconds: Sample
    """Logarithm of the seconds to the floor, over the trainings that reached it."""
    log_rate: Sample
    """Logarithm of the accuracy per second, over the trainings that reached the floor."""
    train_seconds: float
    """Training seconds, mean."""
    cold_seconds: float
    """Seconds from the start of a fresh process to the end of its training, mean."""
    ode_gap: float
    """Validation accuracy lost at a tight tolerance, mean."""
    discrete: bool
    """Whether the gap exceeds `MAX_ODE_GAP`, or a model cannot be solved at that tolerance."""
    solved: tuple[SolverScore, ...]
    latencies: tuple[Latency, ...]
    device: str
    search_rank: int | None
    search_accuracy: float
    """Best validation accuracy of the trial in the search."""
    optimism: float
    """`search_accuracy` minus the mean of the retrained models up to the same epoch."""
    search_rate: float
    """Accuracy per second of the trial in the search; NaN for another device."""
    isolated_bias: float = NAN
    """Isolated seconds that the search estimated, relative to those measured here, minus 1."""
    prob_best: float = NAN
    prob_beats_default: float = NAN

    @property
    def log_value(self) -> float:
        """What candidates are ranked by: log-rate plus log of the share that reached the floor.

        Minus infinity if no training reached it.
        """
        return self.log_rate.mean + self.log_reached if self.reached else -math.inf

    @property
    def log_reached(self) -> float:
        """Logarithm of the share of trainings that reached the floor; NaN for none."""
        return math.log(self.reached / len(self.outcomes)) if self.reached else NAN

    @property
    def rate_optimism(self) -> float:
        """Accuracy per second in the search relative to the confirmed one, minus 1."""
        return self.search_rate / math.exp(self.log_value) - 1 if self.reached else NAN

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values; None for those that were not measured."""
        return finite_or_none(
            {
                "trial_id": self.trial_id,
                "is_default": self.is_default,
                "device": self.device,
                "trainings": len(self.outcomes),
                "completed": self.outcomes.count(Outcome.COMPLETED),
                "reached_floor": self.reached,
                **with_interval("test_accuracy", self.test, _share),
                **with_interval("val_accuracy", self.val, _share),
                **with_interval("seconds_to_floor", self.log_seconds, math.exp),
                **with_interval(
                    "accuracy_per_second",
                    self.log_rate,
                    lambda log_rate: math.exp(log_rate + self.log_reached),
                ),
                "prob_best": self.prob_best,
                "prob_beats_default": self.prob_beats_default,
                "search_rank": self.search_rank,
                "search_accuracy": self.search_accuracy,
                "optimism": self.optimism,
                "search_accuracy_per_second": self.search_rate,
                "rate_optimism": self.rate_optimism,
                "isolated_bias": self.isolated_bias,
                "train_seconds": self.train_seconds,
                "cold_seconds": self.cold_seconds,
                "ode_gap": self.ode_gap,
                "discrete": self.discrete,
                "latencies": [vars(latency) for latency in self.latencies],
                "solved": [finite_or_none(vars(score)) for score in self.solved],
                "params": dict(self.params),
            }
        )


@dataclass(frozen=True, kw_only=True)
class ConfirmationSummary:
    """A confirmation, complete or not."""

    candidates: tuple[Candidate, ...]
    """Best first; those that never reached the floor last, by validation accuracy."""
    floor: float
    """Validation accuracy that a training must reach."""
    clock: str
    """Name in `points.CLOCKS`."""
    threads: int
    """CPU threads that predicted while latencies were measured."""
    unfinished: int
    """Number of trainings that have not ended."""
    disturbed: int
    """Number of trainings whose clock looks disturbed: the device was not idle."""

    @property
    def default(self) -> Candidate | None:
        """The default configuration of the space."""
        return next((one for one in self.candidates if one.is_default), None)

    def verdict(self, candidate: Candidate) -> str:
        """Return how a candidate compares with the default configuration."""
        if candidate.is_default:
            return "is the default"
        if not candidate.reached:
            return "failed: never reached the floor"
        if self.default is None:
            return "not compared: the default is not trained yet"
        if candidate.log_value <= self.default.log_value:
            return "failed: does not beat the default"
        if candidate.prob_beats_default >= CONFIDENCE:
            return "beats the default"
        return "ahead of the default, not significantly"

    def to_records(self) -> list[dict[str, Any]]:
        """Return one row per candidate, best first, as JSON values."""
        return [
            {
                "rank": rank if one.reached else None,
                "verdict": self.verdict(one),
                **one.to_dict(),
            }
            for rank, one in enumerate(self.candidates, 1)
        ]


def _share(value: float) -> float:
    """Return a share within [0, 1]; NaN stays NaN."""
    return min(max(value, 0.0), 1.0)
