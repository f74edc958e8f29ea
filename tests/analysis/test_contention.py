"""Isolated seconds follow from report lines and a measured slowdown, worked out by hand."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from analysis.contention import with_isolated_seconds
from tune_ode.records import Contention

SHARING = Contention(
    column="train_seconds", concurrency=[1, 2, 4], slowdown=[1.0, 1.5, 3.0], error=[0.0, 0.1, 0.2],
    step_seconds=0.1, repetitions=5, threads=1, node="here",
)  # fmt: skip


def isolated(*trials, sharing=SHARING, device="cpu", **columns):
    """Return seconds and errors of trials' lines, each (cumulative seconds, mean at once)."""
    rows = [
        {"trial": number, "train_seconds": seconds, "mean_concurrent_trials": beside}
        for number, points in enumerate(trials)
        for seconds, beside in points
    ]
    lines = pd.DataFrame(rows).astype(float).assign(device=device, **columns)
    found = with_isolated_seconds(lines, {"cpu": sharing.to_json()})
    return found["isolated_seconds"].to_numpy(), found["isolated_error"].to_numpy()


def test_each_interval_is_divided_by_the_slowdown_in_its_company():
    # 10 s alone, 15 s beside one, 9 s beside three, 6.75 s beside two: half way, 2.25
    seconds, error = isolated([(10, 1), (25, 2), (34, 4), (40.75, 3)])
    assert seconds == pytest.approx(np.cumsum([10, 15 / 1.5, 9 / 3, 6.75 / 2.25]))
    # seconds / slowdown² for each measured number of trials, half of the last interval for each
    beside_one = 15 / 1.5**2 + 0.5 * 6.75 / 2.25**2
    beside_three = 9 / 3**2 + 0.5 * 6.75 / 2.25**2
    assert error[-1] == pytest.approx(math.hypot(0.1 * beside_one, 0.2 * beside_three))
    assert error[1] == pytest.approx(0.1 * 15 / 1.5**2)


def test_each_trial_counts_from_its_own_beginning():
    alone = isolated([(10, 2), (25, 4)])
    other = [(7, 1), (9, 3)]
    seconds, error = isolated(other, [(10, 2), (25, 4)], other)
    assert seconds[2:4] == pytest.approx(alone[0])
    assert error[2:4] == pytest.approx(alone[1])


def test_errors_of_one_slowdown_add_up_however_often_a_trial_reports():
    once = isolated([(30, 2)])
    often = isolated([(3.0 * part, 2) for part in range(1, 11)])
    assert [each[-1] for each in often] == pytest.approx([each[-1] for each in once])


def test_alone_is_exact_and_beyond_what_was_measured_counts_as_the_most():
    assert isolated([(10, 1)]) == (10, 0)
    assert isolated([(12, 7)])[0] == pytest.approx(4)


def test_from_a_line_that_lacks_what_is_needed_on_nothing_is_known():
    seconds, error = isolated([(10, 1), (20, None), (30, 1)], [(10, 1)])
    assert np.isnan(seconds).tolist() == np.isnan(error).tolist() == [False, True, True, False]
    assert np.isnan(isolated([(10, 1)], device="a GPU")).all()
    by_cpu = dataclasses.replace(SHARING, column="train_cpu_seconds")
    known = isolated([(10, 2)], sharing=by_cpu, train_cpu_seconds=8.0)
    assert known[0] == pytest.approx(8 / 1.5)
    # of a checkpoint that did not count them yet
    assert np.isnan(isolated([(10, 2)], sharing=by_cpu, train_cpu_seconds=math.nan)).all()
