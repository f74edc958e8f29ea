"""Early stopping compares trials at equal seconds, once per rung; a replay decides the same."""

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.curves import report_instants
from tests.factories import make_report
from tune_ode.tuning.search.asha import EPOCH_RUNGS, AshaScheduler, rung_seconds


def test_rungs_are_half_a_decade_apart_and_at_least_a_second():
    assert rung_seconds(100) == pytest.approx((10**0.5, 10, 10**1.5))
    assert rung_seconds(20) == pytest.approx((2, 20 / 10**0.5))
    assert rung_seconds(2) == ()


@pytest.mark.parametrize("per_decade", [2, 8, 12, 32])
@pytest.mark.parametrize("budget", [7.0, 60.0, 1234.5])
def test_rungs_are_instants_at_which_trials_report(budget, per_decade):
    """Otherwise a rung would compare trials up to a third of its seconds late."""
    assert set(rung_seconds(budget)) <= set(report_instants(budget, per_decade))


def test_one_trial_in_three_passes():
    scheduler = AshaScheduler([1.0])
    assert scheduler.should_stop("a", 1.0, 0.5) is None
    assert scheduler.should_stop("b", 1.0, 0.4) is None  # too few to compare with
    assert scheduler.should_stop("c", 1.0, 0.45) == 1.0  # one of three passes, which is a
    assert scheduler.should_stop("d", 1.0, 0.48) is None  # two of four pass
    assert scheduler.should_stop("e", 1.0, 0.47) == 1.0


def test_a_tie_with_the_best_passes():
    scheduler = AshaScheduler([1.0])
    for trial in "abc":
        assert scheduler.should_stop(trial, 1.0, 0.5) is None


def test_a_late_report_is_recorded_at_its_rung_and_at_no_lower_one():
    scheduler = AshaScheduler([1.0, 3.0])
    scheduler.should_stop("late", 4.0, 0.9)
    assert scheduler.records == [{}, {"late": 0.9}]
    # so an early report is not compared with four seconds of training
    assert scheduler.should_stop("early", 1.2, 0.3) is None


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 30), st.floats(0, 1)), max_size=60)
)
def test_the_best_so_far_is_never_stopped(instants):
    scheduler = AshaScheduler([1.0, 3.0, 9.0])
    for trial, seconds, value in instants:
        recorded = [max(rung.values(), default=0.0) for rung in scheduler.records]
        if value >= max(recorded):
            assert scheduler.should_stop(trial, seconds, value) is None
        else:
            scheduler.should_stop(trial, seconds, value)


def test_about_a_third_passes_of_many():
    values = list(range(300))
    random.Random(0).shuffle(values)
    scheduler = AshaScheduler([1.0])
    passed = sum(scheduler.should_stop(str(value), 1.0, value) is None for value in values)
    assert 90 <= passed <= 120


@pytest.mark.parametrize("name", ["seconds", "epochs"])
def test_a_trial_that_ends_before_a_rung_stands_there_with_its_final_value(name):
    """Otherwise two trials without rivals at the later rung would survive it."""
    scheduler = AshaScheduler.create(name, TRIAL_SECONDS)
    for trial, accuracy in (("short", 0.9), ("shorter", 0.8)):
        assert scheduler.on_report(make_report(trial, 2, accuracy), last=True) is None
    assert all(len(rung) == 2 for rung in scheduler.records[1:])
    assert scheduler.on_report(make_report("long", 9, 0.7)), "two of three rivals are better"


# --- both schedulers, over the reports of concurrent trials ---------------------------------------


@st.composite
def runs(draw):
    """Draw the reports of several trials in order of arrival."""
    order = draw(st.lists(st.sampled_from("abcdef"), max_size=60))
    reports, last = [], {}
    for trial in order:
        epoch, seconds = last.get(trial, (0.0, 0.0))
        at_end = draw(st.booleans())
        epoch = float(int(epoch) + 1) if at_end else (epoch + int(epoch) + 1) / 2
        seconds += draw(st.floats(0.01, 5))
        last[trial] = epoch, seconds
        reports.append(make_report(trial, epoch, draw(st.floats(0, 1)), seconds=seconds))
    return reports


names = st.sampled_from(["seconds", "epochs", "none"])
TRIAL_SECONDS = 27.0


def replay(name, reports):
    scheduler = AshaScheduler.create(name, TRIAL_SECONDS)
    return [scheduler.on_report(report) for report in reports], scheduler.records


@given(names, runs(), st.data())
def test_a_decision_depends_on_earlier_reports_only(name, reports, data):
    """A replay makes the same decisions, and so does one that is cut off anywhere."""
    decisions, records = replay(name, reports)
    assert replay(name, reports) == (decisions, records)
    cut = data.draw(st.integers(0, len(reports)))
    assert replay(name, reports[:cut])[0] == decisions[:cut]


@given(names, runs())
def test_each_rung_records_a_trial_once_with_its_best_accuracy_there(name, reports):
    """No value changes later, and none is added to a rung below or above the report's."""
    scheduler = AshaScheduler.create(name, TRIAL_SECONDS)
    rungs = rung_seconds(TRIAL_SECONDS) if name == "seconds" else EPOCH_RUNGS
    best = {}
    for report in reports:
        trial = report.trial_id
        best[trial] = max(best.get(trial, 0.0), report.val_accuracy)
        before = [dict(rung) for rung in scheduler.records]
        scheduler.on_report(report)
        instant = report.train_seconds if name == "seconds" else report.epoch
        for rung, (old, new) in enumerate(zip(before, scheduler.records, strict=True)):
            assert new.items() >= old.items()
            if added := new.keys() - old.keys():
                assert added == {trial}
                assert new[trial] == best[trial]
                assert rungs[rung] <= instant < [*rungs, float("inf")][rung + 1]


@given(runs())
def test_epoch_rungs_do_not_depend_on_seconds(reports):
    slower = [
        dataclasses.replace(report, train_seconds=9 * report.train_seconds) for report in reports
    ]
    assert replay("epochs", reports) == replay("epochs", slower)


def test_the_reason_names_the_rung_in_its_unit():
    for name, reason in (("seconds", "at 2.7 s of training"), ("epochs", "at epoch 3")):
        scheduler = AshaScheduler.create(name, TRIAL_SECONDS)
        assert scheduler.on_report(make_report("a", 3, 0.9, seconds=3.1)) is None
        assert scheduler.on_report(make_report("b", 3, 0.8, seconds=3.1)) is None
        assert scheduler.on_report(make_report("c", 3, 0.1, seconds=3.1)).endswith(reason)
