"""Accuracy per second of one curve: by hand, and what must never lower it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.curves import report_instants
from analysis.rate import accuracy_per_second

accuracies = st.one_of(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), st.floats(0, 1))
curves = st.lists(st.tuples(st.floats(0.01, 200), accuracies), min_size=1, max_size=12)
factors = st.floats(0.2, 1)
INSTANTS = np.array(report_instants(60.0))


def rate(curve, floor, images=288):
    found = accuracy_per_second(*np.array(curve).T, chance=0.1, floor=floor, images=images)
    return -math.inf if found is None else found.value


def at_least(rate, other):
    return rate >= other - 1e-6 * abs(other)


def test_a_single_report_counts_as_it_is():
    found = accuracy_per_second(np.array([4.0]), np.array([0.9]), chance=0.1, floor=0.87)
    assert found.value == pytest.approx(0.8 / 4)
    assert found.seconds == pytest.approx(4.0)


def test_a_report_at_the_floor_counts():
    assert rate([(1.0, 0.5), (2.0, 0.8)], 0.8) > 0
    assert rate([(1.0, 0.5), (2.0, 0.8)], 0.81) == -math.inf


@pytest.mark.parametrize("images", [288, 1200, None])
@pytest.mark.parametrize("pace", [0.5, 1.0, 3.0])
def test_the_rate_of_a_curve_without_noise_is_that_at_the_floor(pace, images):
    accuracy = 0.1 + 0.895 / (1 + (pace / INSTANTS) ** 1.9)
    expected = 0.85 / (pace * (0.85 / 0.045) ** (1 / 1.9))
    found = accuracy_per_second(INSTANTS, accuracy, chance=0.1, floor=0.95, images=images)
    assert found.value == pytest.approx(expected, rel=0.06)


def test_an_isolated_lucky_report_counts_little():
    accuracy = np.minimum(0.2 * INSTANTS, 0.94)
    lucky = accuracy.copy()
    lucky[np.searchsorted(INSTANTS, 4.5)] = 0.951
    later = np.append(lucky[:-1], 0.96)
    luckiest = (0.951 - 0.1) / INSTANTS[np.searchsorted(INSTANTS, 4.5)]
    assert rate(list(zip(INSTANTS, later, strict=True)), 0.95) < 0.9 * luckiest


def test_more_images_reduce_the_error():
    accuracy = 0.1 + 0.895 / (1 + (1 / INSTANTS) ** 1.9)
    few, many = (
        accuracy_per_second(INSTANTS, accuracy, chance=0.1, floor=0.95, images=images).error
        for images in (300, 1200)
    )
    assert few == pytest.approx(2 * many, rel=0.05)
    assert few == pytest.approx(0.1, abs=0.03), "as measured by benchmarks.ranking_rule"


@given(curves, st.lists(st.tuples(factors, factors), min_size=12, max_size=12), accuracies)
@settings(deadline=None, max_examples=200)
def test_no_later_and_no_less_accurate_reports_never_have_a_lower_rate(better, changes, floor):
    better = sorted(better)
    pairs = list(zip(better, changes, strict=False))
    later = sorted(seconds / slower for (seconds, _), (slower, _) in pairs)
    lower = [accuracy * factor for (_, accuracy), (_, factor) in pairs]
    worse = list(zip(later, lower, strict=True))
    assert at_least(rate(better, floor), rate(worse, floor))
    fewer = worse[: max(len(worse) // 2, 1)]
    assert at_least(rate(better, floor), rate(fewer, floor)), "as after an early stop"


@given(curves, st.floats(0.01, 100), st.floats(0, 1), accuracies)
@settings(deadline=None)
def test_a_further_report_that_is_the_best_never_lowers_the_rate(curve, after, share, floor):
    last, best = max(seconds for seconds, _ in curve), max(accuracy for _, accuracy in curve)
    more = [*curve, (last + after, best + share * (1 - best))]
    assert at_least(rate(more, floor), rate(curve, floor))


@given(curves, accuracies, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_reports_does_not_matter(curve, floor, order):
    shuffled = list(curve)
    order.shuffle(shuffled)
    assert rate(shuffled, floor) == rate(curve, floor)
