"""Isolated seconds: how long a trial's training would have taken alone on its node.

A search whose trials share devices times a training step of its base configuration alone and next
to others (`contention` in run.json). The seconds between two reports, divided by the slowdown at
the mean number of trials on the node in that interval, estimate the isolated seconds.

A measured slowdown of 0.91 ± 0.07 does not mean that company makes a trial faster. Slowdowns are
shrunk towards 1 by their standard errors and are never below; if nothing remains, contention was
too small to be measured, and there are no isolated seconds.

On a CPU with one thread per trial, CPU seconds are divided. They exclude time spent waiting for a
core, including cores used by programs outside the search, so the slowdown covers only shared
caches, memory bandwidth and clock frequency. With several threads, which wait for one another, and
on a GPU, training seconds are divided.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tune_ode.records import Contention

Array = npt.NDArray[np.float64]


def with_isolated_seconds(
    reports: pd.DataFrame, contention: Mapping[str, Mapping[str, Any]]
) -> pd.DataFrame:
    """Add `isolated_seconds` and their standard error, `isolated_error`.

    Args:
        reports: by trial and epoch, with `trial`, `device`, `mean_concurrent_trials` and the
            seconds to divide.
        contention: device → `records.Contention` as in run.json.

    Returns:
        The reports; NaN from a trial's first report on that lacks a value needed, and on devices
        whose trials were not measurably slowed down. Isolated seconds never exceed `train_seconds`.
    """
    trial = reports["trial"]
    divided = pd.Series(np.nan, reports.index)
    variance = pd.Series(0.0, reports.index)
    for device, values in contention.items():
        measured = shrink(Contention.from_json(values))
        if max(measured.slowdown) == 1:
            continue
        here = (reports["device"] == device).to_numpy()
        columns = [measured.column, "train_seconds"]
        before = reports.groupby("trial")[columns].shift(fill_value=0.0)
        spent, trained = (reports[columns] - before).to_numpy()[here].T
        concurrency = reports["mean_concurrent_trials"].to_numpy()[here]
        estimate, sensitivities = estimate_isolated(spent, concurrency, measured)
        divided[here] = np.minimum(estimate, trained)
        for sensitivity, error in zip(sensitivities, measured.error, strict=True):
            each = pd.Series(0.0, reports.index)
            each[here] = np.nan_to_num(sensitivity)
            # The error of a slowdown is shared by all intervals that use it, so it adds up
            # linearly; errors of different slowdowns are independent.
            variance += (each.groupby(trial).cumsum() * error) ** 2
    unknown = divided.isna().groupby(trial).cummax()
    seconds = divided.fillna(0.0).groupby(trial).cumsum().mask(unknown)
    return reports.assign(isolated_seconds=seconds, isolated_error=variance.pow(0.5).mask(unknown))


def shrink(contention: Contention) -> Contention:
    """Return slowdowns of at least 1, shrunk towards 1 by their standard errors.

    The positive-part James-Stein estimator: an excess of e ± s becomes e · max(0, 1 − (s/e)²).
    """
    excess = np.clip(np.array(contention.slowdown) - 1, 0, None)
    error = np.array(contention.error)
    kept = 1 - np.divide(error, excess, out=np.ones_like(excess), where=excess > 0) ** 2
    slowdown = 1 + excess * np.clip(kept, 0, 1)
    return dataclasses.replace(contention, slowdown=slowdown.tolist())


def estimate_isolated(
    spent: Array, concurrency: Array, contention: Contention
) -> tuple[Array, Array]:
    """Return isolated seconds and their sensitivity to each measured slowdown.

    The slowdown is interpolated between the measured numbers of trials, and constant beyond the
    largest. That configurations differ in their slowdown is not part of the sensitivities.

    Args:
        spent: (N,), seconds of each interval.
        concurrency: (N,), mean number of concurrent trials in each interval.
        contention: slowdowns at K numbers of trials.

    Returns:
        (N,), isolated seconds; and (K, N), minus their derivatives by each slowdown.
    """
    slowdowns = np.array(contention.slowdown)
    # interpolation weights, (K, N)
    weights = np.array(
        [np.interp(concurrency, contention.concurrency, point) for point in np.eye(len(slowdowns))]
    )
    slowdown = slowdowns @ weights
    return spent / slowdown, weights * spent / slowdown**2
