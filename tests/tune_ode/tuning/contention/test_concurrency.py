"""A trial's company is a mean over the time between its reports."""

import pytest

from tune_ode.tuning.contention.concurrency import ConcurrencyTracker


@pytest.fixture
def neighbours():
    return ConcurrencyTracker()


def test_a_trial_alone_is_one(neighbours):
    neighbours.begin("a", 10.0)
    assert neighbours.report("a", "n", 15.0) == 1
    assert neighbours.report("a", "n", 15.0) == 1, "two reports at once"


def test_one_that_waits_for_a_place_is_no_company(neighbours):
    neighbours.begin("a", 0.0)
    neighbours.end("b", 1.0)  # without a beginning
    assert neighbours.report("a", "n", 2.0) == 1
    assert neighbours.on("n") == 1


def test_company_counts_for_the_time_that_it_is_there(neighbours):
    neighbours.begin("a", 0.0)
    neighbours.begin("b", 4.0)
    assert neighbours.report("a", "n", 8.0) == pytest.approx(1 + 4 / 8)
    neighbours.end("b", 9.0)
    neighbours.begin("c", 10.0)
    neighbours.end("c", 11.0)
    # b for 1 of 8 seconds, c from its beginning to its end
    assert neighbours.report("a", "n", 16.0) == pytest.approx(1 + 2 / 8)
    assert neighbours.report("a", "n", 20.0) == 1


def test_one_that_ended_still_counts_for_another_that_has_not_reported_since(neighbours):
    for trial_id in "abc":
        neighbours.begin(trial_id, 0.0)
    neighbours.end("c", 5.0)
    assert neighbours.report("a", "n", 10.0) == pytest.approx(2.5)
    assert neighbours.report("a", "n", 20.0) == pytest.approx(2.0)
    assert neighbours.report("b", "n", 20.0) == pytest.approx(2 + 5 / 20)


def test_trials_on_another_node_are_no_company(neighbours):
    neighbours.begin("a", 0.0)
    neighbours.begin("b", 0.0)
    assert neighbours.report("a", "one", 1.0) == 2, "where b is, is not known yet"
    assert neighbours.report("b", "two", 2.0) == 1
    assert neighbours.report("a", "one", 3.0) == 1


def test_a_trial_taken_up_again_begins_anew(neighbours):
    neighbours.begin("a", 0.0)
    neighbours.begin("b", 0.0)
    neighbours.end("a", 2.0)
    neighbours.begin("a", 6.0)
    assert neighbours.report("a", "n", 8.0) == 2
    assert neighbours.report("b", "n", 8.0) == pytest.approx(1 + 4 / 8)


def test_one_that_has_not_told_its_node_yet_still_counts_who_ended_meanwhile(neighbours):
    for trial_id in "abc":
        neighbours.begin(trial_id, 0.0)
    neighbours.report("a", "n", 1.0)
    neighbours.end("a", 5.0)
    neighbours.report("c", "n", 7.0)
    assert neighbours.report("b", "n", 10.0) == pytest.approx(2 + 5 / 10)


def test_other_nodes_are_no_company(neighbours):
    for trial_id in "abc":
        neighbours.begin(trial_id, 0.0)
    neighbours.report("a", "n", 1.0)
    neighbours.report("b", "m", 1.0)
    neighbours.report("c", "m", 1.0)
    assert (neighbours.on("n"), neighbours.on("m")) == (1, 2)
    neighbours.end("b", 2.0)
    assert neighbours.report("a", "n", 3.0) == 1
    assert neighbours.report("c", "m", 3.0) == pytest.approx(1 + 1 / 2)
