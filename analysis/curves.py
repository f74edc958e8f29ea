"""What one learning curve says: pure functions of its instants and accuracies.

A curve is two equally long arrays without gaps: `seconds` (above 0) and `accuracy` (in [0, 1]), one
entry a report, in any order: a restart can step back in time. Between reports, and after the last,
a trial is worth its best accuracy so far. numpy alone: a search imports this for its objective.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Curve = npt.NDArray[np.float64]

FIRST_SHARE = 1e-2
"""The anytime area begins at this share of the budget: two decades of time count.

A share, so that the number means the same on a laptop and a GPU; of a hundredth, since hardly a
trial is measured earlier, and every further decade would be an equal zero for all of them."""


def accuracy_per_second(
    seconds: Curve, accuracy: Curve, *, chance: float, floor: float
) -> float | None:
    """Return the best of (accuracy - chance) / seconds over the points at or above the floor.

    None where no point reaches the floor. A later, better point never lowers it.
    """
    place = efficient_point(seconds, accuracy, chance=chance, floor=floor)
    return None if place is None else float((accuracy[place] - chance) / seconds[place])


def efficient_point(seconds: Curve, accuracy: Curve, *, chance: float, floor: float) -> int | None:
    """Return the index of the point that gives `accuracy_per_second`; the first of equal ones.

    None where no point reaches the floor.
    """
    reaches = accuracy >= floor
    if not reaches.any():
        return None
    rate = np.where(reaches, (accuracy - chance) / seconds, -np.inf)
    return int(rate.argmax())


def seconds_to(seconds: Curve, accuracy: Curve, target: float) -> float:
    """Return when the target was first reached; infinity if never."""
    reached = seconds[accuracy >= target]
    return float(reached.min()) if len(reached) else math.inf


def best_within(seconds: Curve, accuracy: Curve, budget: float) -> float | None:
    """Return the best accuracy reached by an instant; None if nothing was measured by then."""
    measured = accuracy[seconds <= budget]
    return float(measured.max()) if len(measured) else None


def best_so_far(seconds: Curve, accuracy: Curve) -> tuple[Curve, Curve]:
    """Return the instants in order, and the best accuracy reached by each."""
    order = np.argsort(seconds, kind="stable")
    return seconds[order], np.maximum.accumulate(accuracy[order])


def first_instant(budget: float) -> float:
    """Return where the anytime area of a budget begins."""
    return FIRST_SHARE * budget


def anytime_area(seconds: Curve, accuracy: Curve, *, first: float, budget: float) -> float:
    """Return the mean best-so-far accuracy over log-seconds from `first` to `budget`.

    The best so far is a step function, so the integral is exact: 0 before the first report, flat
    after the last. A report before `first` counts from `first`, one after `budget` not at all.

    Args:
        seconds: instants of the reports.
        accuracy: at each of them.
        first: where the area begins, above 0.
        budget: where it ends, above `first`.

    Returns:
        A number in [0, 1], monotone in every improvement of the curve.
    """
    start, best = best_so_far(seconds, accuracy)
    left = np.log(budget / np.clip(start, first, budget))
    # a rise by r with a share l of log-time left adds r·l: each term grows with every improvement
    area = float((np.diff(best, prepend=0.0) * left).sum() / math.log(budget / first))
    return min(area, 1.0)  # the sum may round to 1 + 2e-16


def pareto_front(seconds: Curve, accuracy: Curve) -> npt.NDArray[np.bool_]:
    """Mark the points that no other point beats: sooner, or more accurate, and not worse in either.

    Equal points are on the front together or not at all.
    """
    order = np.lexsort((-accuracy, seconds))
    front = np.zeros(len(seconds), dtype=bool)
    best, best_at = -math.inf, math.inf
    for place in order:
        if accuracy[place] > best or (accuracy[place] == best and seconds[place] == best_at):
            front[place] = True
            best, best_at = accuracy[place], seconds[place]
    return front


def hypervolume(
    seconds: Curve,
    accuracy: Curve,
    owners: npt.NDArray[np.int_],
    *,
    first: float,
    budget: float,
) -> tuple[float, dict[int, float]]:
    """Return the share of the plane that curves dominate together, and what each adds to it.

    The plane is log-seconds from `first` to `budget` by accuracy from 0 to 1; a point dominates
    what is later and less accurate. For a single curve this is its anytime area.

    Args:
        seconds: instants of all curves' points.
        accuracy: at each of them.
        owners: the curve that each belongs to.
        first: where the plane begins, above 0.
        budget: where it ends, above `first`.

    Returns:
        The share in [0, 1]; and by owner, the share that is lost without its curve, for those that
        would be missed.
    """
    order = np.argsort(seconds, kind="stable")
    seconds, accuracy, owners = seconds[order], accuracy[order], owners[order]
    edges = np.log(np.clip(np.append(seconds, budget), first, budget))
    widths = np.diff(edges) / math.log(budget / first)
    best = np.maximum.accumulate(accuracy)
    share = min(float((best * widths).sum()), 1.0)
    rises = np.diff(best, prepend=0.0) > 0
    missed: dict[int, float] = {}
    for owner in np.unique(owners[rises]):
        others = np.maximum.accumulate(np.where(owners == owner, 0.0, accuracy))
        lost = float(((best - others) * widths).sum())
        if lost > 0:
            missed[int(owner)] = lost
    return share, missed
