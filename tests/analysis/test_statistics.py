"""Intervals agree with published values and cover what they claim."""

import numpy as np
import pytest

from analysis.statistics import wilson_interval


def test_wilson_against_published_values():
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263, and 0 of 20
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0.0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(1.0, 20)[1] == 1.0


def test_wilson_covers_the_true_share():
    draw, share = np.random.default_rng(0), 0.9
    found = draw.binomial(100, share, 2000) / 100
    covered = [low <= share <= high for low, high in (wilson_interval(x, 100) for x in found)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)
