"""Checks of whether a trial's seconds can be trusted.

Two signs of a disturbed clock, both robust against a single slow epoch:

- `starved`: a trial with a CPU core to itself computes nearly all the time. If its process got less
  than `LEAST_CPU_SHARE` CPU seconds per wall-clock second, it waited for other processes. With
  several threads, it is starved if they waited for a core during more than `MOST_WAITING` of the
  time in which they could run: how many of them run depends on the network too.
- `jumps`: an interval between two reports normally takes about as long as those around it. Time
  beyond `JUMP` times the median of the five intervals around it is excess. If the excess is more
  than `MOST_EXCESS` of the training seconds, something else ran. Slow growth, such as the
  evaluations of an adaptive solver during training, moves the median and does not count.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd

from tune_ode.records import MOST_WAITING

LEAST_CPU_SHARE = 0.75
JUMP = 1.5
MOST_EXCESS = 0.1

Array = npt.NDArray[np.float64]


def check_clocks(reports: pd.DataFrame, trials: int) -> pd.DataFrame:
    """Return the checks of every trial's clock.

    Args:
        reports: as in `Run.reports`, by trial (numbered from 0) and epoch.
        trials: number of trials.

    Returns:
        One row per trial: `device` (type; several joined by ` + `), `concurrent_trials` (most
        trials on its node at once), `cpu_share` (CPU seconds per wall-clock second), `clock_excess`
        (share of the training seconds in jumps) and `clock` (`starved`, `jumps`, both, or empty).
    """
    by_trial = reports.groupby("trial")
    names = ["trial", "wall_seconds", "cpu_seconds", "train_cpu_seconds", "train_waiting_seconds"]
    last = reports.reindex(columns=names).groupby("trial").last().reindex(range(trials))
    checks = pd.DataFrame(
        {
            "device": _devices(reports),
            "concurrent_trials": by_trial["concurrent_trials"].max(),
            "cpu_share": last["cpu_seconds"] / last["wall_seconds"].where(last["wall_seconds"] > 0),
            "clock_excess": _excess(reports),
        }
    ).reindex(range(trials))
    checks["device"] = checks["device"].fillna("")
    waiting = last["train_waiting_seconds"]
    starved = (checks["device"] == "cpu") & (
        (checks["cpu_share"] < LEAST_CPU_SHARE)
        | (waiting > MOST_WAITING * (waiting + last["train_cpu_seconds"]))
    )
    jumps = checks["clock_excess"] > MOST_EXCESS
    checks["clock"] = np.select(
        [starved & jumps, starved, jumps], ["starved, jumps", "starved", "jumps"], ""
    )
    return checks


def _devices(reports: pd.DataFrame) -> pd.Series[str]:
    devices = reports[["trial", "device"]].drop_duplicates().sort_values(["trial", "device"])
    return devices.groupby("trial")["device"].agg(" + ".join)


def _excess(reports: pd.DataFrame) -> pd.Series[float]:
    """Return the share of each trial's training seconds that lies in jumps."""
    trial = reports["trial"].to_numpy()
    first = np.append(True, trial[1:] != trial[:-1])[: len(trial)]
    seconds = _steps(reports["train_seconds"].to_numpy(), first)
    epochs = _steps(reports["epoch"].to_numpy(), first)
    # A restart can step back in time; such an interval has no pace.
    pace = np.divide(
        seconds, epochs, out=np.full(len(reports), np.nan), where=(epochs > 0) & (seconds > 0)
    )
    excess = np.clip(pace - JUMP * _rolling_median(pace, trial), 0, None) * epochs
    table = pd.DataFrame({"trial": trial, "excess": excess, "seconds": np.clip(seconds, 0, None)})
    sums = table.groupby("trial").sum()
    return sums["excess"] / sums["seconds"].where(sums["seconds"] > 0)


def _steps(values: Array, first: npt.NDArray[np.bool_]) -> Array:
    """Return the increments of a cumulative value; the first of each trial starts at 0."""
    steps = np.diff(values, prepend=0.0)
    steps[first] = values[first]
    return steps


def _rolling_median(values: Array, trial: npt.NDArray[np.int_], reach: int = 2) -> Array:
    """Return the centred median over up to `reach` values on either side, within each trial."""
    around = np.full((2 * reach + 1, len(values)), np.nan)
    for row, shift in enumerate(range(-reach, reach + 1)):
        source = np.arange(len(values)) + shift
        inside = (source >= 0) & (source < len(values))
        source = source[inside]
        around[row, inside] = np.where(trial[source] == trial[inside], values[source], np.nan)
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # windows of NaN only
        return np.asarray(np.nanmedian(around, axis=0))
