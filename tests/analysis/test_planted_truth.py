"""A planted truth: what is really the best, and by how much, is known; seeds are noise.

1,000 searches are made up. Each has 40 configurations whose true log-rates differ less than seeds
do, one noisy measurement of each, and a confirmation of the five best with five seeds, by the
functions that rank real ones.
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
"""Standard deviation of a training's log-rate over seeds; 0.25 is that of the true ones."""


def candidate(trial_id, rates, **changes):
    nothing = Sample.of([])
    made = Candidate(
        trial_id=str(trial_id), params={}, is_default=False,
        outcomes=("completed",) * len(rates), reached=len(rates), test=nothing, val=nothing,
        log_seconds=nothing, log_rate=Sample.of(rates), train_seconds=1.0, cold_seconds=1.0,
        ode_gap=0.0, discrete=False, solved=(), latencies=(), device="cpu", search_rank=1,
        search_accuracy=math.nan, optimism=math.nan, search_rate=math.nan,
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


@pytest.fixture(scope="module")
def searches():
    """What 1,000 searches and their confirmations found, beside the truth."""
    dice = np.random.default_rng(7)
    found = []
    for number in range(SEARCHES):
        truth = dice.normal(0.0, 0.25, CONFIGURATIONS)
        searched = truth + dice.normal(0.0, NOISE, CONFIGURATIONS)
        best = np.argsort(-searched)[:TOP]
        rates = truth[best, None] + dice.normal(0.0, NOISE, (TOP, SEEDS))
        again = rank_candidates(
            [candidate(name, of) for name, of in zip(best, rates, strict=True)], seed=number
        )
        found.append((truth, searched, again))
    return found


def test_the_true_best_is_put_first_more_often_than_by_the_search(searches):
    by_search = np.mean([truth.argmax() == raw.argmax() for truth, raw, _ in searches])
    confirmed = np.mean([truth.argmax() == int(again[0].trial_id) for truth, _, again in searches])
    assert by_search < 0.5, "a planted truth that noise hides"
    # the difference of two shares of 1,000 has a standard error of at most 0.022
    assert confirmed > by_search + 0.1


def test_intervals_cover_the_truth(searches):
    covered = [
        one.log_rate.interval()[0] <= truth[int(one.trial_id)] <= one.log_rate.interval()[1]
        for truth, _, again in searches
        for one in again
    ]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)
    first = [
        again[0].log_rate.interval()[0] <= truth[int(again[0].trial_id)]
        for truth, _, again in searches
    ]
    assert np.mean(first) > 0.9, "also for the one that was chosen by its mean"


def test_probabilities_to_be_first_are_as_often_true(searches):
    told, true = [], []
    for truth, _, again in searches:
        best = max(again, key=lambda one: truth[int(one.trial_id)])
        told += [one.prob_best for one in again]
        true += [one is best for one in again]
    told, true = np.array(told), np.array(true)
    for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.0)):
        within = (low <= told) & (told <= high)
        assert true[within].mean() == pytest.approx(told[within].mean(), abs=0.07)


def test_a_search_flatters_its_first(searches):
    flattery = [raw.max() - again[0].log_rate.mean for _, raw, again in searches]
    assert np.mean(flattery) > 0.1


def test_a_configuration_that_often_misses_the_floor_counts_for_the_share_that_reaches_it():
    rates = [0.0, 0.1, -0.1]
    always = candidate("1", rates)
    # faster by a tenth, but two of five trainings buy nothing
    often = candidate("2", [rate + 0.1 for rate in rates], outcomes=("completed",) * 5)
    never = candidate("3", [], outcomes=("completed",) * 5)
    again = rank_candidates([never, often, always])
    assert [one.trial_id for one in again] == ["1", "2", "3"]
    assert again[0].prob_best + again[1].prob_best == pytest.approx(1.0)
    assert again[0].prob_best > 0.9
    assert again[2].prob_best == 0.0


@pytest.mark.parametrize(
    ("default", "beats"), [([-1.0, -1.1, -0.9], "over"), ([1.0, 1.1, 0.9], "under"), ([], "sure")]
)
def test_the_probability_to_beat_the_default(default, beats):
    outcomes = ("completed",) * 3
    ones = [
        candidate("1", [0.0, 0.1, -0.1]),
        candidate("2", default, is_default=True, outcomes=outcomes),
    ]
    found = {one.trial_id: one.prob_beats_default for one in rank_candidates(ones)}
    assert math.isnan(found["2"])
    low, high = {"over": (0.98, 1.0), "under": (0.0, 0.02), "sure": (1.0, 1.0)}[beats]
    assert low <= found["1"] <= high
