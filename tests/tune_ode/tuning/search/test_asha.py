"""Early stopping compares trials at equal seconds, once a rung, and repeats itself on replay."""

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_ode.records import Report
from tune_ode.tuning.search.asha import EPOCH_RUNGS, AshaScheduler, rung_seconds

reports = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.floats(0, 30), st.floats(0, 1)), max_size=60
)


def test_rungs_are_three_parts_of_the_budget_from_a_second_up():
    assert rung_seconds(270) == (10, 30, 90)
    assert rung_seconds(27) == (1, 3, 9)
    assert rung_seconds(9) == (1, 3)
    assert rung_seconds(2) == ()


def test_one_trial_in_three_passes():
    rungs = AshaScheduler([1.0])
    assert rungs.should_stop("a", 1.0, 0.5) is None
    assert rungs.should_stop("b", 1.0, 0.4) is None  # too few to compare with
    assert rungs.should_stop("c", 1.0, 0.45) == 1.0  # one place among three, and it is taken
    assert rungs.should_stop("d", 1.0, 0.48) is None  # two places among four
    assert rungs.should_stop("e", 1.0, 0.47) == 1.0


def test_a_tie_with_the_best_passes():
    rungs = AshaScheduler([1.0])
    for trial in "abc":
        assert rungs.should_stop(trial, 1.0, 0.5) is None


def test_a_late_report_is_recorded_where_it_stands_and_nowhere_below():
    rungs = AshaScheduler([1.0, 3.0])
    rungs.should_stop("late", 4.0, 0.9)
    assert rungs.records == [{}, {"late": 0.9}]
    # so an early one is not measured against four seconds of training
    assert rungs.should_stop("early", 1.2, 0.3) is None


def test_a_rung_is_recorded_once():
    rungs = AshaScheduler([1.0])
    rungs.should_stop("a", 1.0, 0.2)
    rungs.should_stop("a", 2.0, 0.9)
    assert rungs.records == [{"a": 0.2}]


@given(reports)
def test_a_replay_of_the_reports_gives_the_same_rungs_and_decisions(reports):
    first, second = AshaScheduler([1.0, 3.0, 9.0]), AshaScheduler([1.0, 3.0, 9.0])
    assert [first.should_stop(*report) for report in reports] == [
        second.should_stop(*report) for report in reports
    ]
    assert first.records == second.records


@given(reports)
def test_the_best_so_far_is_never_stopped(reports):
    rungs = AshaScheduler([1.0, 3.0, 9.0])
    for trial, seconds, value in reports:
        recorded = [max(rung.values(), default=0.0) for rung in rungs.records]
        if value >= max(recorded):
            assert rungs.should_stop(trial, seconds, value) is None
        else:
            rungs.should_stop(trial, seconds, value)


def test_about_a_third_passes_of_many():
    values = list(range(300))
    random.Random(0).shuffle(values)
    rungs = AshaScheduler([1.0])
    passed = sum(rungs.should_stop(str(value), 1.0, value) is None for value in values)
    assert 90 <= passed <= 120


# --- both schedulers, over the report lines of trials that train side by side ---------------------

LINE = Report(
    trial_id="", attempt=1, timestamp=0.0, epoch=0.0, train_seconds=0.0, warmup_seconds=0.0,
    epoch_seconds=0.0, eval_seconds=0.0, wall_seconds=0.0, cpu_seconds=0.0, train_loss=1.0,
    train_accuracy=0.5, val_loss=1.0, val_accuracy=0.5, nfe_forward=1.0, nfe_backward=0.0,
    vjp_backward=1.0, solver_steps=1.0, rejected_steps=0.0, learning_rate=0.1,
    samples_per_second=1.0, peak_memory_bytes=None, device="cpu", node="here",
    concurrent_trials=1,
)  # fmt: skip


@st.composite
def runs(draw):
    """Report lines in the order of their arrival, with the best accuracy of each trial so far."""
    order = draw(st.lists(st.sampled_from("abcdef"), max_size=60))
    lines, last, best = [], {}, {}
    for trial in order:
        epoch, seconds = last.get(trial, (0.0, 0.0))
        whole = draw(st.booleans())
        epoch = float(int(epoch) + 1) if whole else (epoch + int(epoch) + 1) / 2
        seconds += draw(st.floats(0.01, 5))
        last[trial] = epoch, seconds
        best[trial] = max(best.get(trial, 0.0), draw(st.floats(0, 1)))
        line = dataclasses.replace(LINE, trial_id=trial, epoch=epoch, train_seconds=seconds)
        lines.append((line, best[trial]))
    return lines


schedulers = st.sampled_from(["seconds", "epochs", "none"])
TRIAL_SECONDS = 27.0


def noted(scheduler, run):
    rungs = AshaScheduler.create(scheduler, TRIAL_SECONDS)
    return [rungs.on_report(*report) for report in run], rungs.records


@given(schedulers, runs(), st.data())
def test_a_decision_follows_from_the_lines_before_it_and_no_others(scheduler, run, data):
    """A replay decides alike, and so does a run that was cut off anywhere."""
    decisions, records = noted(scheduler, run)
    assert noted(scheduler, run) == (decisions, records)
    cut = data.draw(st.integers(0, len(run)))
    assert noted(scheduler, run[:cut])[0] == decisions[:cut]


@given(schedulers, runs())
def test_each_trial_is_at_each_rung_once_with_what_it_had_reached_there(scheduler, run):
    """No value is changed later, and none is put at a rung below one already reported at."""
    rungs = AshaScheduler.create(scheduler, TRIAL_SECONDS)
    instants = rung_seconds(TRIAL_SECONDS) if scheduler == "seconds" else EPOCH_RUNGS
    for line, best in run:
        before = [dict(rung) for rung in rungs.records]
        rungs.on_report(line, best)
        place = line.train_seconds if scheduler == "seconds" else line.epoch
        for rung, (old, new) in enumerate(zip(before, rungs.records, strict=True)):
            assert new.items() >= old.items()
            if added := new.keys() - old.keys():
                assert added == {line.trial_id}
                assert new[line.trial_id] == best
                assert instants[rung] <= place < [*instants, float("inf")][rung + 1]


@given(runs())
def test_epochs_are_compared_at_equal_epochs_however_long_they_take(run):
    slower = [
        (dataclasses.replace(line, train_seconds=9 * line.train_seconds), best)
        for line, best in run
    ]
    assert noted("epochs", run) == noted("epochs", slower)


def test_what_stops_a_trial_names_the_rung_in_its_unit():
    for scheduler, reason in (("seconds", "at 3 s of training"), ("epochs", "at epoch 3")):
        rungs = AshaScheduler.create(scheduler, TRIAL_SECONDS)
        for trial, best in (("a", 0.9), ("b", 0.8)):
            line = dataclasses.replace(LINE, trial_id=trial, epoch=3.0, train_seconds=3.1)
            assert rungs.on_report(line, best) is None
        assert rungs.on_report(dataclasses.replace(line, trial_id="c"), 0.1).endswith(reason)


@pytest.mark.parametrize(
    ("scheduler", "trial_seconds", "at"),
    [("seconds", 27.0, (1, 3, 9)), ("seconds", None, ()), ("epochs", 27.0, ()), ("none", 27.0, ())],
)
def test_trials_report_at_rungs_in_seconds(scheduler, trial_seconds, at):
    """Those in epochs stand where trials report anyway."""
    assert AshaScheduler.create(scheduler, trial_seconds).milestones == at
