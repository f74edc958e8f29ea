"""Isolated seconds: what a trial's training would have taken alone on its node.

A search whose trials share devices times the training step of its base configuration alone and
beside others (`Sharing` in run.json). What a trial spent between two reports, divided by the
slowdown at the mean number of trials that shared its node meanwhile, is what that work would have
taken alone.

On a CPU with one thread a trial, it is CPU seconds that are divided. A trial that waits for a core
uses none, so they already leave out what the scheduler gave to others, programs outside the search
included; what is left for the slowdown is what computing itself costs more beside others: caches,
memory, clock frequency. Several threads wait for one another, and a GPU's work is no CPU time:
there the training seconds themselves are divided.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tune_ode.records import Contention

Array = npt.NDArray[np.float64]


def with_isolated_seconds(
    lines: pd.DataFrame, sharing: Mapping[str, Mapping[str, Any]]
) -> pd.DataFrame:
    """Add `isolated_seconds` and their standard error, `isolated_error`.

    Args:
        lines: report lines, by trial and epoch, with `trial`, `device`, `mean_concurrent_trials`
            and the seconds that the slowdowns divide.
        sharing: device → `records.Sharing` as in run.json.

    Returns:
        The lines; NaN from the first line of a trial on that lacks what the seconds follow from.
    """
    trial = lines["trial"]
    divided = pd.Series(np.nan, lines.index)
    variance = pd.Series(0.0, lines.index)
    for device, values in sharing.items():
        measured = Contention.from_json(values)
        here = (lines["device"] == device).to_numpy()
        spent = _spent(lines, measured.column)[here]
        beside = lines["mean_concurrent_trials"].to_numpy()[here]
        divided[here], sensitivities = estimate_isolated(spent, beside, measured)
        for sensitivity, error in zip(sensitivities, measured.error, strict=True):
            each = pd.Series(0.0, lines.index)
            each[here] = np.nan_to_num(sensitivity)
            # the error of one measured slowdown is common to all intervals that use it: there it
            # adds up; different ones were measured apart
            variance += (each.groupby(trial).cumsum() * error) ** 2
    unknown = divided.isna().groupby(trial).cummax()
    seconds = divided.fillna(0.0).groupby(trial).cumsum().mask(unknown)
    return lines.assign(isolated_seconds=seconds, isolated_error=variance.pow(0.5).mask(unknown))


def estimate_isolated(spent: Array, beside: Array, sharing: Contention) -> tuple[Array, Array]:
    """Return what seconds in company would have been alone, and what that depends on.

    Between the measured numbers of trials the slowdown is interpolated; beyond the last it is the
    last's. Not in the sensitivities is how differently from the configuration that was timed
    another suffers from its neighbours.

    Args:
        spent: seconds of each interval, (N,).
        beside: mean number of trials at once in each interval, (N,).
        sharing: K numbers of trials and their slowdowns.

    Returns:
        The seconds, (N,), and minus their derivatives by each slowdown, (K, N).
    """
    slowdowns = np.array(sharing.slowdown)
    # of each measured number of trials, how much of it counts in each interval
    weights = np.array(
        [np.interp(beside, sharing.concurrency, point) for point in np.eye(len(slowdowns))]
    )
    slowdown = slowdowns @ weights
    return spent / slowdown, weights * spent / slowdown**2


def _spent(lines: pd.DataFrame, column: str) -> Array:
    """Return a cumulative column's growth since the trial's last line."""
    before = lines.groupby("trial")[column].shift(fill_value=0.0)
    return (lines[column] - before).to_numpy()
