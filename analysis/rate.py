"""Accuracy per second of a trial, estimated from all of its reports instead of its luckiest one.

Of trials as good as each other, the one that happens to clear the floor first has the report with
the most accuracy per second. Therefore, the accuracy is smoothed over log-seconds before it is
compared with the floor. `benchmarks.ranking_rule` compares this rule with others.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from analysis.curves import Curve, best_so_far

HALF_WIDTH = 0.7
"""Half-width of the triangular weights in log-seconds: up to a factor of two before and after."""
STEP = 0.035
"""Spacing of the smoothed curve in log-seconds."""
CORRELATED = 0.45
"""Variance of a smoothed accuracy relative to that of one report. It were 0.3 if the errors of its
reports were independent, but all are on the same validation images."""
ASSUMED_IMAGES = 1000
"""Validation images of a run that does not record their number."""
LEAST_SLOPE = 0.3
"""Of the probit over log-seconds; limits the error of a curve that is flat at the floor."""
_ROUNDING = 1e-9


class Rate(NamedTuple):
    """Accuracy per second of a trial."""

    value: float
    """(accuracy - chance) / seconds."""
    seconds: float
    """Where the smoothed curve has this rate; usually where it crosses the floor."""
    error: float
    """Standard error of log(value) from the number of validation images, at the same seed."""


def accuracy_per_second(
    seconds: Curve,
    accuracy: Curve,
    *,
    chance: float,
    floor: float,
    images: int | None = None,
    sampled: Curve | None = None,
) -> Rate | None:
    """Estimate the maximum of (accuracy - chance) / seconds at or above the floor.

    The best accuracy so far, interpolated over log-seconds on the probit scale and constant outside
    of the reports, is averaged with triangular weights. The maximum is over the first report and
    the smoothed curve from where it crosses the floor. All weights are positive and fixed, so a
    curve never has a lower rate than another whose reports are, one by one, no earlier and no more
    accurate; and a further report that is at least as accurate as all before never lowers it.

    Args:
        seconds: (N,), times of the reports, above 0, in any order.
        accuracy: (N,), in [0, 1].
        chance: accuracy that counts as nothing, as does any below.
        floor: least accuracy that counts.
        images: number of validation images; None: `ASSUMED_IMAGES`.
        sampled: (N,), images that each report was measured on, NaN for all; None: all.

    Returns:
        The rate; None if no report reaches the floor.
    """
    if not len(accuracy) or accuracy.max() < floor:
        return None
    images = images or ASSUMED_IMAGES
    order = np.lexsort((-accuracy, seconds))
    seconds, best = best_so_far(seconds[order], accuracy[order])
    times, reach = np.log(seconds), round(HALF_WIDTH / STEP)
    # Multiples of STEP, the same for all curves: from one before the first report to where only
    # the last report has weight.
    first, last = math.ceil(times[0] / STEP) - 1, math.ceil(times[-1] / STEP) + reach
    x = STEP * np.arange(first - reach, last + reach + 1)
    weights = np.bartlett(2 * reach + 3)[1:-1]
    shares = (best * images + 0.5) / (images + 1)  # finite probits at 0 and 1
    curve = np.convolve(np.interp(x, times, ndtri(shares)), weights / weights.sum(), "valid")
    x = x[reach : len(x) - reach]
    target = float(ndtri((floor * images + 0.5) / (images + 1)))
    above = 1 + np.flatnonzero(curve[1:] >= target - _ROUNDING)
    node = int(above[0])
    beyond = (curve[node] - target) / max(curve[node] - curve[node - 1], _ROUNDING)
    crossing = max(x[node] - STEP * min(max(beyond, 0.0), 1.0), times[0])
    smooth = (ndtr(curve[above]) * (images + 1) - 0.5) / images
    levels = np.array([best[0], floor, *smooth])
    at = np.exp([times[0], crossing, *x[above]])
    rates = np.where(levels >= floor - _ROUNDING, np.maximum(levels - chance, 0.0) / at, -np.inf)
    index = int(rates.argmax())
    node = int(above[max(index - 2, 0)])
    around = np.clip([node - reach // 2, node + reach // 2], 0, len(x) - 1)
    slope = max(float(np.diff(curve[around])[0] / np.diff(x[around])[0]), LEAST_SLOPE)
    if sampled is not None:  # the smallest sample that has weight there
        near = sampled[order][np.abs(times - x[node]) <= HALF_WIDTH]
        images = int(np.nanmin([images, *near]))
    return Rate(float(rates[index]), float(at[index]), _error(curve[node], images) / slope)


def _error(probit: float, images: int) -> float:
    """Return the standard error of a smoothed probit."""
    share, density = float(ndtr(probit)), math.exp(-(probit**2) / 2) / math.sqrt(2 * math.pi)
    return math.sqrt(CORRELATED * share * (1 - share) / images) / density
