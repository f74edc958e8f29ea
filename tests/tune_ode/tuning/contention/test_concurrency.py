"""The concurrency of a trial is a mean over the time between its reports."""

import pytest

from tune_ode.tuning.contention.concurrency import ConcurrencyTracker


@pytest.fixture
def tracker():
    return ConcurrencyTracker()


def test_an_isolated_trial_counts_as_one(tracker):
    tracker.start("a", 10.0)
    assert tracker.report("a", "n", 15.0) == 1
    assert tracker.report("a", "n", 15.0) == 1, "two reports at once"


def test_a_trial_that_waits_for_resources_does_not_count(tracker):
    tracker.start("a", 0.0)
    tracker.end("b", 1.0)  # never started
    assert tracker.report("a", "n", 2.0) == 1
    assert tracker.count("n") == 1


def test_a_trial_counts_for_the_time_it_overlaps(tracker):
    tracker.start("a", 0.0)
    tracker.start("b", 4.0)
    assert tracker.report("a", "n", 8.0) == pytest.approx(1 + 4 / 8)
    tracker.end("b", 9.0)
    tracker.start("c", 10.0)
    tracker.end("c", 11.0)
    # b for 1 of 8 seconds, c from its start to its end
    assert tracker.report("a", "n", 16.0) == pytest.approx(1 + 2 / 8)
    assert tracker.report("a", "n", 20.0) == 1


def test_a_trial_that_ended_counts_for_others_that_have_not_reported_since(tracker):
    for trial_id in "abc":
        tracker.start(trial_id, 0.0)
    tracker.end("c", 5.0)
    assert tracker.report("a", "n", 10.0) == pytest.approx(2.5)
    assert tracker.report("a", "n", 20.0) == pytest.approx(2.0)
    assert tracker.report("b", "n", 20.0) == pytest.approx(2 + 5 / 20)


def test_a_trial_counts_everywhere_until_its_node_is_known(tracker):
    tracker.start("a", 0.0)
    tracker.start("b", 0.0)
    assert tracker.report("a", "one", 1.0) == 2, "the node of b is not known yet"
    assert tracker.report("b", "two", 2.0) == 1
    assert tracker.report("a", "one", 3.0) == 1


def test_a_restarted_trial_counts_from_its_new_start(tracker):
    tracker.start("a", 0.0)
    tracker.start("b", 0.0)
    tracker.end("a", 2.0)
    tracker.start("a", 6.0)
    assert tracker.report("a", "n", 8.0) == 2
    assert tracker.report("b", "n", 8.0) == pytest.approx(1 + 4 / 8)


def test_a_trial_on_an_unknown_node_counts_trials_that_ended_meanwhile(tracker):
    for trial_id in "abc":
        tracker.start(trial_id, 0.0)
    tracker.report("a", "n", 1.0)
    tracker.end("a", 5.0)
    tracker.report("c", "n", 7.0)
    assert tracker.report("b", "n", 10.0) == pytest.approx(2 + 5 / 10)


def test_trials_on_other_nodes_do_not_count(tracker):
    for trial_id in "abc":
        tracker.start(trial_id, 0.0)
    tracker.report("a", "n", 1.0)
    tracker.report("b", "m", 1.0)
    tracker.report("c", "m", 1.0)
    assert (tracker.count("n"), tracker.count("m")) == (1, 2)
    tracker.end("b", 2.0)
    assert tracker.report("a", "n", 3.0) == 1
    assert tracker.report("c", "m", 3.0) == pytest.approx(1 + 1 / 2)
