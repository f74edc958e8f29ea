"""Metrics of curves: closed forms, bounds and monotonicity."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import curves

accuracies = st.floats(0, 1)
points = st.lists(st.tuples(st.floats(0.01, 200), accuracies), min_size=1, max_size=15)


def arrays(pairs):
    pairs = sorted(pairs)
    return np.array([p[0] for p in pairs], float), np.array([p[1] for p in pairs], float)


def area(pairs, first=1.0, budget=100.0):
    return curves.anytime_area(*arrays(pairs), first=first, budget=budget)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(1.0, 0.8)], 0.8),  # from the start of the area
        ([(10.0, 0.8)], 0.4),  # one of two decades
        ([(1.0, 0.5), (10.0, 1.0)], 0.75),
        ([(1.0, 0.5), (10.0, 0.2)], 0.5),  # the best so far does not decrease
        ([(0.5, 0.8)], 0.8),  # an earlier report counts from the start
        ([(100.0, 1.0), (101.0, 1.0)], 0.0),  # no time is left at the budget
        (
            [(1.0, 0.1), (3.0, 0.2), (7.0, 1.0)],
            pytest.approx(
                (0.1 * math.log(3) + 0.2 * math.log(7 / 3) + math.log(100 / 7)) / math.log(100)
            ),
        ),
        ([], 0.0),
    ],
)
def test_anytime_area(pairs, expected):
    assert area(pairs) == pytest.approx(expected)


def test_rounding_does_not_exceed_one():
    steps = (0.02, 0.03, 0.04, 0.27, 0.44, 0.54, 0.61, 0.72, 0.73, 0.76, 1.0)
    assert area([(0.1, accuracy) for accuracy in steps], first=0.01 * 70.3, budget=70.3) == 1.0


@given(points)
@settings(deadline=None)
def test_anytime_area_equals_a_numerical_integral(pairs):
    seconds, accuracy = arrays(pairs)
    grid = np.geomspace(1, 100, 20_001)
    middle = np.sqrt(grid[1:] * grid[:-1])
    reached = np.append(0.0, np.maximum.accumulate(accuracy))
    best = reached[np.searchsorted(seconds, middle, side="right")]
    # Each of up to 15 steps falls into one of 20,000 cells.
    assert area(pairs) == pytest.approx(best.mean(), abs=15 / 20_000)


@given(points, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_points_does_not_change_the_area(pairs, order):
    seconds, accuracy = arrays(pairs)
    mixed = order.sample(range(len(pairs)), len(pairs))
    shuffled = curves.anytime_area(seconds[mixed], accuracy[mixed], first=1.0, budget=100.0)
    assert shuffled == pytest.approx(area(pairs))


@given(points, st.integers(0, 14), accuracies)
@settings(deadline=None)
def test_anytime_area_is_in_0_to_1_and_monotone(pairs, place, gain):
    assert 0 <= area(pairs) <= 1
    place %= len(pairs)
    seconds, accuracy = pairs[place]
    better = [*pairs[:place], (seconds, min(1.0, accuracy + gain)), *pairs[place + 1 :]]
    assert area(better) >= area(pairs) - 1e-12
    sooner = [*pairs[:place], (seconds / 2, accuracy), *pairs[place + 1 :]]
    assert area(sooner) >= area(pairs) - 1e-12


@given(st.lists(st.tuples(st.sampled_from([1.0, 2.0, 3.0, 4.0]),
                          st.sampled_from([0.1, 0.2, 0.3, 0.4])), max_size=12))  # fmt: skip
@settings(deadline=None)
def test_the_pareto_front_equals_brute_force(pairs):
    seconds = np.array([p[0] for p in pairs])
    accuracy = np.array([p[1] for p in pairs])
    brute = [not any(s <= t and a >= b and (s, a) != (t, b) for s, a in pairs) for t, b in pairs]
    assert curves.pareto_front(seconds, accuracy).tolist() == brute


@given(points, accuracies)
@settings(deadline=None)
def test_seconds_to_and_best_within_agree(pairs, target):
    seconds, accuracy = arrays(pairs)
    reached = curves.seconds_to(seconds, accuracy, target)
    if math.isinf(reached):
        assert accuracy.max() < target
    else:
        assert curves.best_within(seconds, accuracy, reached) >= target
        before = curves.best_within(seconds, accuracy, np.nextafter(reached, 0))
        assert before is None or before < target


owned = st.lists(
    st.tuples(st.floats(0.5, 150), st.sampled_from([0.2, 0.4, 0.6, 0.9]), st.integers(0, 3)),
    min_size=1,
    max_size=12,
)


def hypervolume(triples):
    seconds, accuracy, owners = (np.array(column) for column in zip(*triples, strict=True))
    return curves.hypervolume(seconds, accuracy, owners, first=1.0, budget=100.0)


@given(owned)
@settings(deadline=None, max_examples=50)
def test_the_hypervolume_equals_a_monte_carlo_estimate(triples):
    share, _ = hypervolume(triples)
    draw = np.random.default_rng(0)
    at, height = np.exp(draw.uniform(0, np.log(100), 40_000)), draw.uniform(0, 1, 40_000)
    dominated = np.zeros(len(at), dtype=bool)
    for seconds, accuracy, _ in triples:
        dominated |= (at >= seconds) & (height <= accuracy)
    assert share == pytest.approx(dominated.mean(), abs=0.015)  # 6 standard deviations


@given(owned)
@settings(deadline=None)
def test_a_contribution_is_the_hypervolume_lost_without_the_curve(triples):
    share, contributions = hypervolume(triples)
    for owner in range(4):
        others = [triple for triple in triples if triple[2] != owner]
        without = hypervolume(others)[0] if others else 0.0
        assert contributions.get(owner, 0.0) == pytest.approx(share - without, abs=1e-12)


@given(points)
@settings(deadline=None)
def test_the_hypervolume_of_one_curve_is_its_anytime_area(pairs):
    share, _ = hypervolume([(*pair, 0) for pair in pairs])
    assert share == pytest.approx(area(pairs))
