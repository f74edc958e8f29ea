"""Isolated seconds computed by hand from reports and measured slowdowns."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.contention import shrink, with_isolated_seconds
from tests.factories import before_shrinking, make_contention

CONTENTION = make_contention(
    concurrency=[1, 2, 4], error=[0.0, 0.1, 0.2],
    slowdown=[1.0, before_shrinking(1.5, 0.1), before_shrinking(3, 0.2)],
)  # fmt: skip


def isolated(*trials, contention=CONTENTION, device="cpu", **columns):
    """Return isolated seconds and errors of trials of (cumulative seconds, mean concurrency)."""
    rows = [
        {"trial": number, "train_seconds": seconds, "mean_concurrent_trials": concurrency}
        for number, points in enumerate(trials)
        for seconds, concurrency in points
    ]
    reports = pd.DataFrame(rows).astype(float).assign(device=device, **columns)
    table = with_isolated_seconds(reports, {"cpu": contention.to_json()})
    return table["isolated_seconds"].to_numpy(), table["isolated_error"].to_numpy()


def test_each_interval_is_divided_by_the_slowdown_at_its_concurrency():
    # 10 s with 1 trial, 15 s with 2, 9 s with 4, 6.75 s with 3, where the slowdown is 2.25
    seconds, error = isolated([(10, 1), (25, 2), (34, 4), (40.75, 3)])
    assert seconds == pytest.approx(np.cumsum([10, 15 / 1.5, 9 / 3, 6.75 / 2.25]))
    # seconds / slowdown² for each measured concurrency; the last interval counts half for each
    with_two = 15 / 1.5**2 + 0.5 * 6.75 / 2.25**2
    with_four = 9 / 3**2 + 0.5 * 6.75 / 2.25**2
    assert error[-1] == pytest.approx(math.hypot(0.1 * with_two, 0.2 * with_four))
    assert error[1] == pytest.approx(0.1 * 15 / 1.5**2)


def test_trials_are_accumulated_separately():
    single = isolated([(10, 2), (25, 4)])
    other = [(7, 1), (9, 3)]
    seconds, error = isolated(other, [(10, 2), (25, 4)], other)
    assert seconds[2:4] == pytest.approx(single[0])
    assert error[2:4] == pytest.approx(single[1])


def test_the_error_does_not_depend_on_the_number_of_reports():
    once = isolated([(30, 2)])
    often = isolated([(3.0 * part, 2) for part in range(1, 11)])
    assert [each[-1] for each in often] == pytest.approx([each[-1] for each in once])


def test_one_trial_is_exact_and_concurrency_beyond_the_measured_is_clipped():
    assert isolated([(10, 1)]) == (10, 0)
    assert isolated([(12, 7)])[0] == pytest.approx(4)


def test_seconds_are_unknown_from_the_first_incomplete_report_on():
    seconds, error = isolated([(10, 1), (20, None), (30, 1)], [(10, 1)])
    assert np.isnan(seconds).tolist() == np.isnan(error).tolist() == [False, True, True, False]
    assert np.isnan(isolated([(10, 1)], device="a GPU")).all()
    by_cpu = dataclasses.replace(CONTENTION, column="train_cpu_seconds")
    known = isolated([(10, 2)], contention=by_cpu, train_cpu_seconds=8.0)
    assert known[0] == pytest.approx(8 / 1.5)
    # a checkpoint without CPU seconds
    assert np.isnan(isolated([(10, 2)], contention=by_cpu, train_cpu_seconds=math.nan)).all()


@given(st.floats(0.5, 3), st.floats(0, 1), st.floats(1, 4))
def test_isolated_seconds_never_exceed_training_seconds(slowdown, error, concurrency):
    contention = dataclasses.replace(
        CONTENTION, concurrency=[1, 2], slowdown=[1.0, slowdown], error=[0.0, error],
        column="train_cpu_seconds",
    )  # fmt: skip
    seconds, _ = isolated([(8, concurrency)], contention=contention, train_cpu_seconds=8.5)
    assert np.isnan(seconds).all() if slowdown - error <= 1 else seconds <= 8


@pytest.mark.parametrize(
    ("measured", "error", "used"),
    [(0.91, 0.07, 1.0), (1.05, 0.07, 1.0), (1.2, 0.1, 1.15), (2.0, 0.0, 2.0)],
)
def test_slowdowns_are_shrunk_towards_one_by_their_errors(measured, error, used):
    contention = dataclasses.replace(
        CONTENTION, concurrency=[1, 2], slowdown=[1.0, measured], error=[0.0, error]
    )
    assert shrink(contention).slowdown == pytest.approx([1.0, used])
