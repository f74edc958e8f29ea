"""How far a trial's seconds can be trusted: how shared its machine was, whether its clock jumped.

Two signs of a disturbed clock, both robust against the odd slow epoch:

- `starved`: on a CPU, a trial that has its core to itself computes nearly all the time. Where its
  process got less than `LEAST_CPU_SHARE` CPU seconds per wall-clock second, it waited for others.
- `jumps`: between two reports an epoch takes about as long as its neighbours. What an interval
  takes beyond `JUMP` times the median of the five around it is in excess; where the excess is more
  than `MOST_EXCESS` of the training seconds, something else ran. A slow growth, such as an adaptive
  solver's evaluations over training, moves the median along and is none.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd

LEAST_CPU_SHARE = 0.75
JUMP = 1.5
MOST_EXCESS = 0.1

Array = npt.NDArray[np.float64]


def check_clocks(lines: pd.DataFrame, trials: int) -> pd.DataFrame:
    """Return what is known of each trial's clock.

    Args:
        lines: of `Run.lines`: by trial (numbered from 0) and epoch.
        trials: how many there are.

    Returns:
        One row a trial: `device` (its kind; several joined by ` + `), `concurrent_trials` (the most
        that shared its node), `cpu_share` (CPU seconds per wall-clock second), `clock_excess`
        (share of the training seconds in jumps) and `clock` (`starved`, `jumps`, both, or nothing).
    """
    by_trial = lines.groupby("trial")
    last = by_trial[["wall_seconds", "cpu_seconds"]].last()
    checks = pd.DataFrame(
        {
            "device": _devices(lines),
            "concurrent_trials": by_trial["concurrent_trials"].max(),
            "cpu_share": last["cpu_seconds"] / last["wall_seconds"].where(last["wall_seconds"] > 0),
            "clock_excess": _excess(lines),
        }
    ).reindex(range(trials))
    checks["device"] = checks["device"].fillna("")
    starved = (checks["device"] == "cpu") & (checks["cpu_share"] < LEAST_CPU_SHARE)
    jumps = checks["clock_excess"] > MOST_EXCESS
    signs = np.where(starved & jumps, "starved, jumps", np.where(starved, "starved", ""))
    checks["clock"] = np.where(jumps & ~starved, "jumps", signs)
    return checks


def _devices(lines: pd.DataFrame) -> pd.Series[str]:
    kinds = lines[["trial", "device"]].drop_duplicates().sort_values(["trial", "device"])
    return kinds.groupby("trial")["device"].agg(" + ".join)


def _excess(lines: pd.DataFrame) -> pd.Series[float]:
    """Return the share of each trial's training seconds that lies in jumps."""
    trial = lines["trial"].to_numpy()
    first = np.append(True, trial[1:] != trial[:-1])[: len(trial)]
    seconds = _steps(lines["train_seconds"].to_numpy(), first)
    epochs = _steps(lines["epoch"].to_numpy(), first)
    # a restart can step back in time: such an interval says nothing
    pace = np.divide(
        seconds, epochs, out=np.full(len(lines), np.nan), where=(epochs > 0) & (seconds > 0)
    )
    usual = _median_around(pace, trial)
    excess = np.clip(pace - JUMP * usual, 0, None) * epochs
    table = pd.DataFrame({"trial": trial, "excess": excess, "seconds": np.clip(seconds, 0, None)})
    sums = table.groupby("trial").sum()
    return sums["excess"] / sums["seconds"].where(sums["seconds"] > 0)


def _steps(values: Array, first: npt.NDArray[np.bool_]) -> Array:
    """Return what each line adds to a cumulative value; a trial's first line adds all of it."""
    steps = np.diff(values, prepend=0.0)
    steps[first] = values[first]
    return steps


def _median_around(values: Array, trial: npt.NDArray[np.int_], reach: int = 2) -> Array:
    """Return the median of each value and those up to `reach` beside it, of the same trial."""
    around = np.full((2 * reach + 1, len(values)), np.nan)
    for row, shift in enumerate(range(-reach, reach + 1)):
        source = np.arange(len(values)) + shift
        inside = (source >= 0) & (source < len(values))
        source = source[inside]
        around[row, inside] = np.where(trial[source] == trial[inside], values[source], np.nan)
    with warnings.catch_warnings():  # a line alone without a pace has none
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmedian(around, axis=0))
