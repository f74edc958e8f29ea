"""What measured rates are worth: shrinkage, 95 % intervals, and trials tied with the first.

The best of many measurements is too high, even where each of them is unbiased. Therefore, rates are
shrunk towards the rates that many trials have (empirical Bayes; Robbins, 1956): the distribution of
true log-rates is estimated from all trials (Laird, 1978), and each trial gets the mean of its
posterior. This is one increasing function for all trials of a device, so it never changes the
order. Intervals are as wide as before the shrinkage, which is too wide where many trials are alike.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from analysis.statistics import CONFIDENCE

Array = npt.NDArray[np.float64]

SEED_SPREAD = 0.16
"""Standard deviation of the log-rate over seeds, which a single training does not show: the root
mean square of four configurations on digits with six seeds each, 0.09 to 0.22."""
UPDATES = 200
_NODES = 5
"""Nodes of the distribution per standard error."""
_TINY = 1e-300
_CALIBRATION = 1.07
"""Factor of the half-widths with which the interval of the first trial holds its true rate in 94 to
99 % of the searches of each scenario of `benchmarks.ranking_rule` where seeds vary as assumed;
without it, in 91 to 99 %."""
_Z = _CALIBRATION * NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)


def shrink(rates: Array, errors: Array) -> tuple[Array, Array, Array]:
    """Return rates as other seeds would show them on average, and their 95 % intervals.

    Args:
        rates: (N,), measured, above 0.
        errors: (N,), standard errors of log(rates) at the same seed.

    Returns:
        (N,) rates, which increase with the measured ones; lower ends; upper ends.
    """
    logs, errors = np.log(rates), np.hypot(errors, SEED_SPREAD)
    if not len(logs):
        return rates, rates, rates
    error = float(np.median(errors))
    step = error / _NODES
    nodes = np.arange(logs.min() - 4 * error, logs.max() + 4 * error + step, step)
    likelihood = np.exp(-0.5 * ((nodes[:, None] - nodes) / error) ** 2)  # (measured, true)
    part, whole = np.modf((logs - nodes[0]) / step)
    at = np.append(whole, whole + 1).astype(int)  # each rate counts at the nodes on both sides
    counts = np.bincount(at, np.append(1 - part, part), minlength=len(nodes))
    prior = np.full(len(nodes), 1 / len(nodes))
    for _ in range(UPDATES):  # expectation-maximization; far from all rates, densities underflow
        density = np.maximum(likelihood @ prior, _TINY)
        prior = prior * (likelihood.T @ (counts / density)) / len(logs)
    density = np.maximum(likelihood @ prior, _TINY)
    shrunk = np.interp(logs, nodes, likelihood @ (prior * nodes) / density)
    return np.exp(shrunk), np.exp(shrunk - _Z * errors), np.exp(shrunk + _Z * errors)


def tied(rates: Array, low: Array) -> npt.NDArray[np.bool_]:
    """Return which rates cannot be told from the highest: the 95 % interval of the ratio holds 1.

    Args:
        rates: (N,), shrunk.
        low: (N,), the lower ends of their intervals.

    Returns:
        (N,), False for the highest itself.
    """
    if not len(rates):
        return np.zeros(0, dtype=bool)
    best, half = int(rates.argmax()), np.log(rates / low)
    found: npt.NDArray[np.bool_] = np.log(rates[best] / rates) <= np.hypot(half, half[best])
    found[best] = False
    return found
