"""Early stopping compares trials at equal seconds, once a rung, and repeats itself on replay."""

import random

from hypothesis import given
from hypothesis import strategies as st

from tune_ode.tuning.rungs import Rungs, rung_seconds

reports = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.floats(0, 30), st.floats(0, 1)), max_size=60
)


def test_rungs_are_three_parts_of_the_budget_from_a_second_up():
    assert rung_seconds(270) == (10, 30, 90)
    assert rung_seconds(27) == (1, 3, 9)
    assert rung_seconds(9) == (1, 3)
    assert rung_seconds(2) == ()


def test_one_trial_in_three_passes():
    rungs = Rungs([1.0])
    assert rungs.stops("a", 1.0, 0.5) is None
    assert rungs.stops("b", 1.0, 0.4) is None  # too few to compare with
    assert rungs.stops("c", 1.0, 0.45) == 1.0  # one place among three, and it is taken
    assert rungs.stops("d", 1.0, 0.48) is None  # two places among four
    assert rungs.stops("e", 1.0, 0.47) == 1.0


def test_a_tie_with_the_best_passes():
    rungs = Rungs([1.0])
    for trial in "abc":
        assert rungs.stops(trial, 1.0, 0.5) is None


def test_a_late_report_is_recorded_where_it_stands_and_nowhere_below():
    rungs = Rungs([1.0, 3.0])
    rungs.stops("late", 4.0, 0.9)
    assert rungs.records == [{}, {"late": 0.9}]
    # so an early one is not measured against four seconds of training
    assert rungs.stops("early", 1.2, 0.3) is None


def test_a_rung_is_recorded_once():
    rungs = Rungs([1.0])
    rungs.stops("a", 1.0, 0.2)
    rungs.stops("a", 2.0, 0.9)
    assert rungs.records == [{"a": 0.2}]


@given(reports)
def test_a_replay_of_the_reports_gives_the_same_rungs_and_decisions(reports):
    first, second = Rungs([1.0, 3.0, 9.0]), Rungs([1.0, 3.0, 9.0])
    assert [first.stops(*report) for report in reports] == [
        second.stops(*report) for report in reports
    ]
    assert first.records == second.records


@given(reports)
def test_the_best_so_far_is_never_stopped(reports):
    rungs = Rungs([1.0, 3.0, 9.0])
    for trial, seconds, value in reports:
        recorded = [max(rung.values(), default=0.0) for rung in rungs.records]
        if value >= max(recorded):
            assert rungs.stops(trial, seconds, value) is None
        else:
            rungs.stops(trial, seconds, value)


def test_about_a_third_passes_of_many():
    values = list(range(300))
    random.Random(0).shuffle(values)
    rungs = Rungs([1.0])
    passed = sum(rungs.stops(str(value), 1.0, value) is None for value in values)
    assert 90 <= passed <= 120
