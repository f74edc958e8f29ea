"""Confidence intervals and the probability to be best, as pure functions."""

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
"""Draws of a simulation; the 95% interval of a probability of 0.5 is then ± 0.007."""


@dataclass(frozen=True)
class Sample:
    """Repeated measurements, such as trainings that differ only in their seed."""

    mean: float
    """NaN without measurements."""
    error: float
    """Standard error of the mean; NaN for fewer than two measurements."""
    count: int

    @classmethod
    def of(cls, values: Sequence[float] | Array) -> Sample:
        """Summarize measurements."""
        count = len(values)
        if not count:
            return cls(math.nan, math.nan, 0)
        deviation = float(np.std(values, ddof=1)) if count > 1 else math.nan
        return cls(float(np.mean(values)), deviation / math.sqrt(count), count)

    def interval(self) -> tuple[float, float]:
        """Return the t-interval of the mean (Student, 1908); NaN for fewer than two values."""
        if self.count < 2:
            return math.nan, math.nan
        half = float(stdtrit(self.count - 1, 0.5 + CONFIDENCE / 2)) * self.error
        return self.mean - half, self.mean + half


def simulate_means(samples: Sequence[Sample], *, draws: int = DRAWS, seed: int = 0) -> Array:
    """Draw from the posterior of the true means: mean + error · t.

    This is the posterior of a normal mean under the prior 1/σ (Gelman et al., Bayesian Data
    Analysis, section 3.2), so the t-interval contains 95% of the draws. A sample with a single
    measurement gets the pooled standard deviation of the others.

    Args:
        samples: each with at least one measurement.
        draws: number of draws.
        seed: seed of the random numbers.

    Returns:
        (draws, samples); NaN for single measurements if no sample has several.
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
    """Return the share of rows in which each column has the largest value.

    Args:
        draws: (draws, columns), as from `simulate_means`.

    Returns:
        (columns,), with sum 1; NaN without draws or if any is not finite.
    """
    if not draws.size or not np.isfinite(draws).all():
        return np.full(draws.shape[1], math.nan)
    return np.bincount(draws.argmax(axis=1), minlength=draws.shape[1]) / len(draws)


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Return the confidence interval of a binomial proportion (Wilson, 1927).

    Unlike share ± z · standard error, it stays within [0, 1] and has a width at 0 and 1.

    Args:
        share: measured proportion, in [0, 1].
        count: number of independent cases, at least 1.
    """
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    scale = 1 + z * z / count
    middle = (share + z * z / (2 * count)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def with_interval(
    name: str, sample: Sample, transform: Callable[[float], float] = float
) -> dict[str, float]:
    """Return the mean and its t-interval as `name`, `name_low` and `name_high`.

    Args:
        name: key of the mean.
        sample: measurements.
        transform: applied to all three numbers, such as `math.exp` for a sample of logarithms.
    """
    low, high = sample.interval()
    return {
        name: transform(sample.mean),
        f"{name}_low": transform(low),
        f"{name}_high": transform(high),
    }


def finite_or_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with NaN and infinity replaced by None, for JSON."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
