"""What `confirm` found: the best trials trained again with fresh seeds, re-ranked.

They are ranked as trials are, by accuracy per second above the same floor, now as a mean over
seeds. The mean is taken of its logarithm, since seconds vary by factors; a seed that never reaches
the floor buys nothing, so the mean counts for the share of seeds that do. docs/confirm.md has the
mathematics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis.statistics import Array, Sample, prob_best, simulate_means
from tune_ode.records import Outcome

SURE = 0.95
NAN = math.nan


@dataclass(frozen=True)
class SolvedBy:
    """A candidate's models, their ODE solved in one way; means over seeds."""

    method: str
    steps: int | None
    rtol: float | None
    own: bool
    """Whether it was trained with it."""
    evaluations: float
    """Per batch, all blocks."""
    accuracy: float


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a prediction of so many images: median and quartiles."""

    batch: int
    median_ms: float
    low_ms: float
    high_ms: float


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A configuration, trained again with several seeds; what was not measured is NaN."""

    trial_id: str
    """Of the search, or `records.DEFAULT`."""
    params: Mapping[str, Any]
    is_default: bool
    outcomes: tuple[str, ...]
    """Of its trainings that have ended, by seed."""
    reached: int
    """How many of them reached the floor."""
    test: Sample
    """Accuracy on the test set, of the model with the best validation accuracy."""
    val: Sample
    """Best validation accuracy."""
    log_seconds: Sample
    """Logarithm of the seconds to the floor, of those that reached it."""
    log_rate: Sample
    """Logarithm of the accuracy per second, likewise."""
    train_seconds: float
    """Of the whole training, mean."""
    cold_seconds: float
    ode_gap: float
    discrete: bool
    solved: tuple[SolvedBy, ...]
    latencies: tuple[Latency, ...]
    device: str
    search_rank: int | None
    search_accuracy: float
    """Best validation accuracy of the search's trial."""
    flattered: float
    """That minus the mean of the retrained, up to the epoch that the trial had reached."""
    search_rate: float
    isolated_off: float = NAN
    """How much longer the search thought that it takes alone, as a share of what it took."""
    probability_first: float = NAN
    probability_beats_default: float = NAN

    @property
    def log_value(self) -> float:
        """What it is ranked by: the logarithm of its rate times the share that reached the floor.

        Minus infinity where none did.
        """
        if not self.reached:
            return -math.inf
        return self.log_rate.mean + math.log(self.reached / len(self.outcomes))

    @property
    def optimism(self) -> float:
        """How much higher the search's accuracy per second was, as a share of the confirmed."""
        return self.search_rate / math.exp(self.log_value) - 1 if self.reached else NAN

    def figures(self) -> dict[str, Any]:
        """Return all of it as plain values; what was not measured is None."""
        rate = math.log(self.reached / len(self.outcomes)) if self.reached else NAN
        figures = {
            "trial_id": self.trial_id,
            "is_default": self.is_default,
            "device": self.device,
            "trainings": len(self.outcomes),
            "completed": self.outcomes.count(Outcome.COMPLETED),
            "reached_floor": self.reached,
            **_with_interval("test_accuracy", self.test),
            **_with_interval("val_accuracy", self.val),
            **_with_interval("seconds_to_floor", self.log_seconds, exp=True),
            **_with_interval("accuracy_per_second", self.log_rate, exp=True, shift=rate),
            "probability_first": self.probability_first,
            "probability_beats_default": self.probability_beats_default,
            "search_rank": self.search_rank,
            "search_accuracy": self.search_accuracy,
            "flattered": self.flattered,
            "search_accuracy_per_second": self.search_rate,
            "flattered_rate": self.optimism,
            "isolated_off": self.isolated_off,
            "train_seconds": self.train_seconds,
            "cold_seconds": self.cold_seconds,
            "ode_gap": self.ode_gap,
            "discrete": self.discrete,
            "latencies": [vars(latency) for latency in self.latencies],
            "solved": [_finite(vars(solved)) for solved in self.solved],
            "params": dict(self.params),
        }
        return _finite(figures)


@dataclass(frozen=True)
class Confirmed:
    """A run's confirmation, as far as it is."""

    candidates: tuple[Candidate, ...]
    """Best first; those that never reached the floor last, by validation accuracy."""
    floor: float
    chance: float
    clock: str
    threads: int
    unfinished: int
    """Trainings that are asked for, but not done."""
    disturbed: int
    """Trainings whose clock looks disturbed: they had not the device to themselves."""

    @property
    def default(self) -> Candidate | None:
        """The space's default configuration."""
        return next((one for one in self.candidates if one.is_default), None)

    def verdict(self, candidate: Candidate) -> str:
        """Return in words how a candidate stands against the default configuration."""
        default = self.default
        if candidate.is_default:
            return "is the default"
        if not candidate.reached:
            return "failed: never reached the floor"
        if default is None:
            return "not compared: the default is not trained yet"
        if candidate.log_value <= default.log_value:
            return "failed: does not beat the default"
        if candidate.probability_beats_default >= SURE:
            return "beats the default"
        return "ahead of the default, but not surely"

    def to_records(self) -> list[dict[str, Any]]:
        """Return one JSON object a candidate, in order; what was not measured is None."""
        return [
            {"place": place if one.reached else None, "verdict": self.verdict(one), **one.figures()}
            for place, one in enumerate(self.candidates, 1)
        ]


def in_order(candidates: Sequence[Candidate], *, seed: int = 0) -> tuple[Candidate, ...]:
    """Return candidates re-ranked, and how likely each is first, and better than the default.

    Args:
        candidates: each of at least one training.
        seed: of the simulation.
    """
    order = sorted(
        candidates, key=lambda one: (-one.log_value, -_or(one.val.mean, 0.0), one.trial_id)
    )
    running = [one for one in order if one.reached]
    draws = simulate_means([one.log_rate for one in running], seed=seed)
    draws = draws + [math.log(one.reached / len(one.outcomes)) for one in running]
    first = dict(zip((one.trial_id for one in running), prob_best(draws), strict=True))
    beats = _beating(order, running, draws)
    return tuple(
        replace(
            one,
            probability_first=float(first.get(one.trial_id, 0.0)),
            probability_beats_default=beats.get(one.trial_id, NAN),
        )
        for one in order
    )


def _beating(
    order: Sequence[Candidate], running: Sequence[Candidate], draws: Array
) -> dict[str, float]:
    """Return the probability of each to be better than the default."""
    default = next((one for one in order if one.is_default), None)
    if default is None:
        return {}
    if not default.reached:
        return {one.trial_id: 1.0 if one.reached else 0.0 for one in order if one is not default}
    bar = draws[:, running.index(default)]
    won = {
        one.trial_id: float((draws[:, place] > bar).mean()) if np.isfinite(draws).all() else NAN
        for place, one in enumerate(running)
        if one is not default
    }
    return won | {one.trial_id: 0.0 for one in order if not one.reached}


def _with_interval(
    name: str, sample: Sample, *, exp: bool = False, shift: float = 0.0
) -> dict[str, float]:
    low, high = sample.interval()
    values = [sample.mean + shift, low + shift, high + shift]
    if exp:
        values = [math.exp(value) for value in values]
    else:
        values[1:] = [min(max(value, 0.0), 1.0) for value in values[1:]]
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def _or(value: Any, otherwise: float) -> float:
    return otherwise if value is None or value != value else float(value)


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
