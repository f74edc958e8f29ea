"""Intervals agree with published values and have the nominal coverage."""

import math

import numpy as np
import pytest

from analysis.statistics import Sample, prob_best, simulate_means, wilson_interval


def test_wilson_intervals_match_published_values():
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263, and 0 of 20
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0.0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(1.0, 20)[1] == 1.0


def test_wilson_intervals_have_nominal_coverage():
    draw, share = np.random.default_rng(0), 0.9
    shares = draw.binomial(100, share, 2000) / 100
    covered = [low <= share <= high for low, high in (wilson_interval(x, 100) for x in shares)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)


def test_a_t_interval_matches_published_values():
    # Student, Biometrika 6 (1908), section IX: the difference of two soporifics, ten patients;
    # t(0.975, 9) = 2.262
    sample = Sample.of([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
    assert sample.mean == pytest.approx(1.58)
    assert sample.interval() == pytest.approx((0.70, 2.46), abs=5e-3)


def test_a_single_measurement_has_no_interval_and_an_empty_sample_no_mean():
    assert Sample.of([0.5]).mean == 0.5
    assert all(map(math.isnan, (*Sample.of([0.5]).interval(), Sample.of([]).mean)))


def test_simulated_means_match_the_t_interval():
    samples = [Sample.of([1.0, 2.0, 4.0]), Sample.of([5.0, 5.5, 5.1, 5.2, 5.9])]
    draws = simulate_means(samples, draws=400_000)
    for column, sample in enumerate(samples):
        assert np.quantile(draws[:, column], (0.025, 0.975)) == pytest.approx(
            sample.interval(), abs=0.05
        )
    assert (simulate_means(samples, draws=9) == simulate_means(samples, draws=9)).all()
    assert (simulate_means(samples, draws=9) != simulate_means(samples, draws=9, seed=1)).any()


def test_a_single_measurement_gets_the_pooled_deviation():
    many = Sample.of([0.0, 2.0, 0.0, 2.0, 0.0, 2.0, 0.0, 2.0])
    draws = simulate_means([many, Sample.of([1.0])], draws=200_000)
    low, high = np.quantile(draws[:, 1], (0.16, 0.84))
    # the error of one measurement is √8 times that of eight
    assert (high - low) / np.diff(np.quantile(draws[:, 0], (0.16, 0.84)))[0] == pytest.approx(
        math.sqrt(8), rel=0.03
    )


def test_prob_best():
    # equal samples share the probability; a far better one has nearly all of it
    twins = [Sample.of([1.0, 2.0, 3.0])] * 2
    assert prob_best(simulate_means(twins)) == pytest.approx([0.5, 0.5], abs=0.02)
    better = [*twins, Sample.of([100.0, 101.0, 102.0])]
    assert prob_best(simulate_means(better))[2] > 0.99
    # Closed form for two normal means with known errors: Φ(d / √(s² + s²)). With many degrees of
    # freedom t is normal.
    wide = [Sample(0.0, 1.0, 10_000), Sample(1.0, 1.0, 10_000)]
    assert prob_best(simulate_means(wide))[1] == pytest.approx(0.7602, abs=0.01)


def test_without_repeated_measurements_there_is_no_probability():
    draws = simulate_means([Sample.of([1.0]), Sample.of([2.0])])
    assert np.isnan(prob_best(draws)).all()
    assert prob_best(simulate_means([])).shape == (0,)
