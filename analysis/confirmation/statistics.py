"""Rank candidates, and estimate how probable the ranking is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analysis.confirmation.data import NAN, Candidate
from analysis.statistics import Array, prob_best, simulate_means


def rank_candidates(candidates: Sequence[Candidate], *, seed: int = 0) -> tuple[Candidate, ...]:
    """Return the candidates, best first, with `prob_best` and `prob_beats_default`.

    Args:
        candidates: each with at least one training.
        seed: seed of the simulation of true means.
    """
    order = sorted(
        candidates,
        key=lambda one: (
            -one.log_value, -one.val.mean if one.val.count else 0.0, one.trial_id
        ),
    )  # fmt: skip
    reached = [one for one in order if one.reached]
    draws = simulate_means([one.log_rate for one in reached], seed=seed)
    draws = draws + [one.log_reached for one in reached]
    best = dict(zip((one.trial_id for one in reached), prob_best(draws), strict=True))
    beats = _prob_beats_default(order, reached, draws)
    return tuple(
        replace(
            one,
            prob_best=float(best.get(one.trial_id, 0.0)),
            prob_beats_default=beats.get(one.trial_id, NAN),
        )
        for one in order
    )


def _prob_beats_default(
    order: Sequence[Candidate], reached: Sequence[Candidate], draws: Array
) -> dict[str, float]:
    default = next((one for one in order if one.is_default), None)
    if default is None:
        return {}
    if not default.reached:
        return {one.trial_id: float(one.reached > 0) for one in order if one is not default}
    known = bool(np.isfinite(draws).all())
    bar = draws[:, reached.index(default)]
    beats = {
        one.trial_id: float((draws[:, column] > bar).mean()) if known else math.nan
        for column, one in enumerate(reached)
        if one is not default
    }
    return beats | {one.trial_id: 0.0 for one in order if not one.reached}
