"""Metrics of learning curves, as pure functions.

A curve is two arrays of equal length without NaN: `seconds` (above 0) and `accuracy` (in [0, 1]),
one entry per report, in any order, since a restart can step back in time. Between reports and
after the last, the best accuracy so far counts. Needs only numpy, because a search imports this
file for its objective.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Curve = npt.NDArray[np.float64]

DECADES = 3
"""Decades of time before the budget in which trials report, and which the anytime area covers.

A share of the budget makes the area comparable between a laptop and a GPU."""
INSTANTS_PER_DECADE = 8
"""Reports per factor of ten in time: each is a third later than the one before."""


def seconds_to(seconds: Curve, accuracy: Curve, target: float) -> float:
    """Return the seconds at which a target was first reached; infinity if never."""
    reached = seconds[accuracy >= target]
    return float(reached.min()) if len(reached) else math.inf


def best_within(seconds: Curve, accuracy: Curve, budget: float) -> float | None:
    """Return the best accuracy within a budget; None if nothing was measured by then."""
    measured = accuracy[seconds <= budget]
    return float(measured.max()) if len(measured) else None


def best_so_far(seconds: Curve, accuracy: Curve) -> tuple[Curve, Curve]:
    """Return the seconds in ascending order and the best accuracy up to each."""
    order = np.argsort(seconds, kind="stable")
    return seconds[order], np.maximum.accumulate(accuracy[order])


def first_instant(budget: float) -> float:
    """Return the seconds at which the anytime area of a budget begins: the first instant."""
    return budget * 10.0**-DECADES


def report_instants(
    budget: float | None, per_decade: int = INSTANTS_PER_DECADE
) -> tuple[float, ...] | None:
    """Return the `train_seconds` at which every trial of a search is evaluated, ascending.

    A geometric grid, so that no trial is looked at more often than another: from a thousandth of
    the budget up to the budget.

    Args:
        budget: `train_seconds` of a trial; None: of a training that is not ranked, which is
            evaluated at the end of each epoch and has no instants.
        per_decade: instants per factor of ten in time, at least 1.
    """
    if budget is None:
        return None
    steps = range(DECADES * per_decade, -1, -1)
    return tuple(budget * 10 ** (-step / per_decade) for step in steps)


def anytime_area(seconds: Curve, accuracy: Curve, *, first: float, budget: float) -> float:
    """Return the mean best-so-far accuracy over log-seconds from `first` to `budget`.

    The best accuracy so far is a step function, so the integral is exact: 0 before the first
    report, constant after the last. A report before `first` counts from `first`; one after `budget`
    does not count.

    Args:
        seconds: (N,), times of the reports.
        accuracy: (N,), accuracy of each.
        first: start of the area in seconds, above 0.
        budget: end of the area in seconds, above `first`.

    Returns:
        A number in [0, 1]; no improvement of the curve lowers it.
    """
    start, best = best_so_far(seconds, accuracy)
    left = np.log(budget / np.clip(start, first, budget))
    # A rise by r with a share l of the log-time left adds r·l.
    area = float((np.diff(best, prepend=0.0) * left).sum() / math.log(budget / first))
    return min(area, 1.0)  # rounding may yield 1 + 2e-16


def pareto_front(seconds: Curve, accuracy: Curve) -> npt.NDArray[np.bool_]:
    """Return a mask of the points not dominated by any other in seconds and accuracy.

    Equal points are on the front together or not at all.
    """
    order = np.lexsort((-accuracy, seconds))
    front = np.zeros(len(seconds), dtype=bool)
    best, best_at = -math.inf, math.inf
    for index in order:
        if accuracy[index] > best or (accuracy[index] == best and seconds[index] == best_at):
            front[index] = True
            best, best_at = accuracy[index], seconds[index]
    return front


def hypervolume(
    seconds: Curve, accuracy: Curve, owners: npt.NDArray[np.int_], *, first: float, budget: float
) -> tuple[float, dict[int, float]]:
    """Return the hypervolume dominated by all curves, and each curve's contribution.

    The plane is log-seconds from `first` to `budget` by accuracy from 0 to 1; a point dominates
    every later and less accurate one. The hypervolume of a single curve is its anytime area.

    Args:
        seconds: (N,), times of all curves' points.
        accuracy: (N,), accuracy of each.
        owners: (N,), the curve that each belongs to.
        first: start of the plane in seconds, above 0.
        budget: end of the plane in seconds, above `first`.

    Returns:
        The dominated share in [0, 1]; and by owner, the share lost without its curve, if any.
    """
    order = np.argsort(seconds, kind="stable")
    seconds, accuracy, owners = seconds[order], accuracy[order], owners[order]
    edges = np.log(np.clip(np.append(seconds, budget), first, budget))
    widths = np.diff(edges) / math.log(budget / first)
    best = np.maximum.accumulate(accuracy)
    share = min(float((best * widths).sum()), 1.0)
    rises = np.diff(best, prepend=0.0) > 0
    contributions: dict[int, float] = {}
    for owner in np.unique(owners[rises]):
        others = np.maximum.accumulate(np.where(owners == owner, 0.0, accuracy))
        lost = float(((best - others) * widths).sum())
        if lost > 0:
            contributions[int(owner)] = lost
    return share, contributions
