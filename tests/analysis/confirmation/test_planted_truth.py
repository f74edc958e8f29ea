"""Confirmation of 1,000 synthetic searches with a known truth.

Each search has 40 configurations whose true log-rates vary about as much as between seeds,
one noisy measurement of each, and a confirmation of the five best with five seeds, ranked by the
functions for real confirmations.
"""

import dataclasses
import math

import numpy as np
import pytest

from analysis.confirmation.data import Candidate
from analysis.confirmation.statistics import rank_candidates
from analysis.statistics import Sample

SEARCHES, CONFIGURATIONS, TOP, SEEDS = 1000, 40, 5, 5
NOISE = 0.2
"""Standard deviation of the log-rate over seeds; that of the true log-rates is 0.25."""


def candidate(trial_id, rates, **changes):
    empty = Sample.of([])
    base = Candidate(
        trial_id=str(trial_id), params={}, is_default=False,
        outcomes=("completed",) * len(rates), reached=len(rates), test=empty, val=empty,
        log_seconds=empty, log_rate=Sample.of(rates), train_seconds=1.0, cold_seconds=1.0,
        ode_gap=0.0, discrete=False, solved=(), latencies=(), device="cpu", search_rank=1,
        search_accuracy=math.nan, optimism=math.nan, search_rate=math.nan,
    )  # fmt: skip
    return dataclasses.replace(base, **changes)


@pytest.fixture(scope="module")
def searches():
    """True log-rates, searched log-rates and confirmed candidates of every search."""
    random = np.random.default_rng(7)
    searches = []
    for number in range(SEARCHES):
        truth = random.normal(0.0, 0.25, CONFIGURATIONS)
        searched = truth + random.normal(0.0, NOISE, CONFIGURATIONS)
        best = np.argsort(-searched)[:TOP]
        rates = truth[best, None] + random.normal(0.0, NOISE, (TOP, SEEDS))
        candidates = [candidate(name, of) for name, of in zip(best, rates, strict=True)]
        searches.append((truth, searched, rank_candidates(candidates, seed=number)))
    return searches


def test_confirmation_finds_the_true_best_more_often_than_the_search(searches):
    by_search = np.mean([truth.argmax() == raw.argmax() for truth, raw, _ in searches])
    confirmed = np.mean(
        [truth.argmax() == int(ranked[0].trial_id) for truth, _, ranked in searches]
    )
    assert by_search < 0.5, "noise must hide the truth"
    # the difference of two shares of 1,000 has a standard error of at most 0.022
    assert confirmed > by_search + 0.1


def test_intervals_have_nominal_coverage(searches):
    truths = [[truth[int(one.trial_id)] for one in ranked] for truth, _, ranked in searches]
    intervals = [[one.log_rate.interval() for one in ranked] for _, _, ranked in searches]
    low, high = np.moveaxis(intervals, -1, 0)
    assert np.mean((low <= truths) & (truths <= high)) == pytest.approx(0.95, abs=0.03)
    assert np.mean(low[:, 0] <= np.array(truths)[:, 0]) > 0.9, "also after selection by the mean"


def test_prob_best_is_calibrated(searches):
    predicted, true = [], []
    for truth, _, ranked in searches:
        best = max(ranked, key=lambda one: truth[int(one.trial_id)])
        predicted += [one.prob_best for one in ranked]
        true += [one is best for one in ranked]
    predicted, true = np.array(predicted), np.array(true)
    for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.0)):
        within = (low <= predicted) & (predicted <= high)
        assert true[within].mean() == pytest.approx(predicted[within].mean(), abs=0.07)


def test_a_search_is_optimistic_about_its_best_trial(searches):
    optimism = [raw.max() - ranked[0].log_rate.mean for _, raw, ranked in searches]
    assert np.mean(optimism) > 0.1


def test_prob_best_is_weighted_by_the_share_of_trainings_that_reach_the_floor():
    rates = [0.0, 0.1, -0.1]
    always = candidate("1", rates)
    # faster by a tenth, but two of five trainings miss the floor
    often = candidate("2", [rate + 0.1 for rate in rates], outcomes=("completed",) * 5)
    never = candidate("3", [], outcomes=("completed",) * 5)
    ranked = rank_candidates([never, often, always])
    assert [one.trial_id for one in ranked] == ["1", "2", "3"]
    assert ranked[0].prob_best + ranked[1].prob_best == pytest.approx(1.0)
    assert ranked[0].prob_best > 0.9
    assert ranked[2].prob_best == 0.0


@pytest.mark.parametrize(
    ("default", "low", "high"),
    [([-1.0, -1.1, -0.9], 0.98, 1.0), ([1.0, 1.1, 0.9], 0.0, 0.02), ([], 1.0, 1.0)],
)
def test_prob_beats_default(default, low, high):
    outcomes = ("completed",) * 3
    candidates = [
        candidate("1", [0.0, 0.1, -0.1]),
        candidate("2", default, is_default=True, outcomes=outcomes),
    ]
    prob = {one.trial_id: one.prob_beats_default for one in rank_candidates(candidates)}
    assert math.isnan(prob["2"])
    assert low <= prob["1"] <= high
