"""How far a number can be trusted: pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.95
DRAWS = 20_000
"""Of a simulation: a probability of a half is then known to 0.007 (95%)."""


@dataclass(frozen=True)
class Sample:
    """Repeated measurements of one thing, such as trainings that differ in their seed alone."""

    mean: float
    """NaN of no measurement."""
    error: float
    """Standard error of the mean; NaN of fewer than two measurements."""
    count: int

    @classmethod
    def of(cls, values: Sequence[float] | Array) -> Sample:
        """Summarize measurements."""
        count = len(values)
        if not count:
            return cls(math.nan, math.nan, 0)
        spread = float(np.std(values, ddof=1)) if count > 1 else math.nan
        return cls(float(np.mean(values)), spread / math.sqrt(count), count)

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return the t-interval of the mean (Student, 1908); NaN of fewer than two measurements."""
        if self.count < 2:
            return math.nan, math.nan
        half = float(stdtrit(self.count - 1, 0.5 + confidence / 2)) * self.error
        return self.mean - half, self.mean + half


def simulate_means(samples: Sequence[Sample], *, draws: int = DRAWS, seed: int = 0) -> Array:
    """Draw what the true means may be, given the samples: mean + error · t.

    That is the posterior of a normal mean under the prior 1/σ (Gelman et al., Bayesian Data
    Analysis, section 3.2), of which the t-interval holds 95%. A sample of a single measurement is
    given the pooled spread of the others.

    Args:
        samples: each of at least one measurement.
        draws: how often.
        seed: of the random numbers; equal ones give equal draws.

    Returns:
        (draws, samples); NaN where no sample has a spread.
    """
    several = [sample for sample in samples if sample.count > 1]
    degrees = sum(sample.count - 1 for sample in several)
    squares = sum((s.count - 1) * s.count * s.error**2 for s in several)
    pooled = math.sqrt(squares / degrees) if degrees else math.nan
    random = np.random.default_rng(seed)
    columns = [
        sample.mean + sample.error * random.standard_t(sample.count - 1, draws)
        if sample.count > 1
        else sample.mean + pooled * random.standard_t(max(degrees, 1), draws)
        for sample in samples
    ]
    return np.column_stack(columns) if columns else np.empty((draws, 0))


def prob_best(draws: Array) -> Array:
    """Return how often each column has the largest value of its row.

    Args:
        draws: (draws, columns), as from `simulate_means`.

    Returns:
        (columns,), of sum 1; NaN where there is nothing to compare.
    """
    if not draws.size or not np.isfinite(draws).all():
        return np.full(draws.shape[1], math.nan)
    return np.bincount(draws.argmax(axis=1), minlength=draws.shape[1]) / len(draws)


def wilson_interval(
    share: float, count: int, *, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Return the interval of a share measured on so many independent cases (Wilson, 1927).

    Unlike share ± z · standard error it stays inside [0, 1], and is no point at 0 or 1.

    Args:
        share: measured, in [0, 1].
        count: cases that it was measured on, at least 1.
        confidence: in (0, 1).
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    scale = 1 + z * z / count
    middle = (share + z * z / (2 * count)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def with_interval(
    name: str, sample: Sample, transform: Callable[[float], float] = float
) -> dict[str, float]:
    """Return the mean and its t-interval as `name`, `name_low` and `name_high`.

    Args:
        name: of the mean.
        sample: measurements.
        transform: applied to all three numbers, such as `math.exp` to a sample of logarithms.
    """
    low, high = sample.interval()
    return {
        name: transform(sample.mean),
        f"{name}_low": transform(low),
        f"{name}_high": transform(high),
    }


def finite_or_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with None, as JSON has it, in place of NaN and infinity."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
