"""The price of sharing: what a trial's seconds would have been alone on its device.

Before a search that shares devices, the default configuration's step is timed alone and beside
others (`calibration`). The seconds between two reports of a trial, divided by the slowdown at the
mean number of trials that shared its node meanwhile, are the seconds it would have taken alone.

On a CPU with one thread a trial, it is CPU seconds that are divided. A trial that waits for a core
uses none, so they already leave out what the scheduler gave to others, programs outside the search
included; what is left for the slowdown is what computing itself costs more beside others: caches,
memory, clock frequency. Several threads wait for one another, and a GPU's work is no CPU time:
there the training seconds themselves are divided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tune_ode.records import ReportLine, Sharing


def column_for(device: str, threads: int) -> str:
    """Return which seconds of a report line tell what a trial's work took.

    Args:
        device: `cpu` or `cuda`.
        threads: CPU threads of each trial.
    """
    return "train_cpu_seconds" if device == "cpu" and threads == 1 else "train_seconds"


def isolated(lines: Sequence[ReportLine], sharing: Sharing) -> tuple[float, float] | None:
    """Return what a trial's training would have taken alone, and the standard error of that.

    Args:
        lines: all of the trial's so far, in the order of epochs.
        sharing: measured on the trial's kind of device.

    Returns:
        Seconds and seconds; None where a line lacks what they follow from.
    """
    known = [(getattr(line, sharing.column), line.mean_concurrent_trials) for line in lines]
    if any(value is None or math.isnan(value) for pair in known for value in pair):
        return None
    seconds, beside = zip(*known, strict=True)
    return alone(seconds, beside, sharing)


def alone(
    seconds: Sequence[float], beside: Sequence[float], sharing: Sharing
) -> tuple[float, float]:
    """Return what shared seconds would have been alone, and the standard error of that.

    Between the measured numbers of trials the slowdown is interpolated. The error of a measured one
    is common to all intervals that use it, so there it adds up; different ones were measured apart
    and are combined in quadrature. Not in the error is how differently from the configuration that
    was timed another suffers from its neighbours.

    Args:
        seconds: cumulative, by `sharing.column`, at the end of each interval.
        beside: mean number of trials at once in each interval.
        sharing: measured on the kind of device.
    """
    spent = np.diff(seconds, prepend=0.0)
    # of each measured number of trials, how much of it counts in each interval
    weights = np.array(
        [np.interp(beside, sharing.concurrency, point) for point in np.eye(len(sharing.slowdown))]
    )
    slowdown = np.array(sharing.slowdown) @ weights
    # d(spent / slowdown) / d(measured slowdown), over all intervals
    sensitivities = weights @ (spent / slowdown**2)
    error = np.linalg.norm(sensitivities * np.array(sharing.error))
    return float((spent / slowdown).sum()), float(error)
