"""Isolated seconds follow from report lines and a measured slowdown, worked out by hand."""

import dataclasses
import math

import pytest

from tune_ode.records import Outcome, Sharing
from tune_ode.tuning.sharing import column_for, isolated
from tune_ode.tuning.task import Ending

SHARING = Sharing(
    column="train_seconds", concurrency=[1, 2, 4], slowdown=[1.0, 1.5, 3.0], error=[0.0, 0.1, 0.2],
    step_seconds=0.1, repetitions=5, threads=1, node="here",
)  # fmt: skip


@pytest.fixture
def lines(make_search, line):
    """Return a function that makes report lines of (cumulative seconds, mean trials at once)."""
    task = make_search(trials=1).next_task()

    def make(*points):
        return [
            dataclasses.replace(
                line(task, epoch, 0.5, seconds=seconds), mean_concurrent_trials=beside
            )
            for epoch, (seconds, beside) in enumerate(points, start=1)
        ]

    return make


def test_each_interval_is_divided_by_the_slowdown_in_its_company(lines):
    # 10 s alone, 15 s beside one, 9 s beside three, 6.75 s beside two: half way, 2.25
    seconds, error = isolated(lines((10, 1), (25, 2), (34, 4), (40.75, 3)), SHARING)
    assert seconds == pytest.approx(10 + 15 / 1.5 + 9 / 3 + 6.75 / 2.25)
    # seconds / slowdown² for each measured number of trials, half of the last interval for each
    beside_one = 15 / 1.5**2 + 0.5 * 6.75 / 2.25**2
    beside_three = 9 / 3**2 + 0.5 * 6.75 / 2.25**2
    assert error == pytest.approx(math.hypot(0.1 * beside_one, 0.2 * beside_three))


def test_errors_of_one_slowdown_add_up_however_often_a_trial_reports(lines):
    once = isolated(lines((30, 2)), SHARING)
    often = isolated(lines(*((3.0 * part, 2) for part in range(1, 11))), SHARING)
    assert often == pytest.approx(once)


def test_alone_is_exact_and_beyond_what_was_measured_counts_as_the_most(lines):
    assert isolated(lines((10, 1)), SHARING) == (10, 0)
    assert isolated(lines((12, 7)), SHARING)[0] == pytest.approx(4)


def test_lines_that_lack_what_is_needed_have_none(lines):
    assert isolated(lines((10, 1), (20, None)), SHARING) is None
    by_cpu = dataclasses.replace(SHARING, column="train_cpu_seconds")
    assert isolated(lines((10, 1)), by_cpu) is None
    known = [dataclasses.replace(one, train_cpu_seconds=8.0) for one in lines((10, 2))]
    assert isolated(known, by_cpu)[0] == pytest.approx(8 / 1.5)
    # of a checkpoint that did not count them yet
    unknown = [dataclasses.replace(one, train_cpu_seconds=math.nan) for one in known]
    assert isolated(unknown, by_cpu) is None


def test_cpu_seconds_are_what_counts_where_no_thread_waits_for_another():
    assert column_for("cpu", 1) == "train_cpu_seconds"
    assert column_for("cpu", 2) == column_for("cuda", 1) == "train_seconds"


def test_a_search_writes_them_into_its_lines_and_goes_on_with_them(make_search, drive, line, clock):
    def answer(task, clock):
        for epoch in range(1, 4):
            clock.now += 1
            yield line(task, epoch, 0.5, seconds=3.0 * epoch)
        yield Ending(outcome=Outcome.COMPLETED)

    search = make_search(trials=2, trial_seconds=None)
    search.folder.update(sharing={"cpu": SHARING.to_json()})
    drive(search, answer=answer, messages=4)
    search.stop("interrupted")
    search.close()
    search.folder.close()
    search = make_search(trials=2, trial_seconds=None)
    drive(search, answer=lambda task, clock: list(answer(task, clock))[2:].__iter__())
    search.close()
    for trial_id in ("0001", "0002"):
        told = search.folder.lines(trial_id)
        assert [one.train_seconds for one in told] == [3.0, 6.0, 9.0]
        for number, one in enumerate(told, start=1):
            assert (one.isolated_seconds, one.isolated_error) == pytest.approx(
                isolated(told[:number], SHARING)
            )
        assert told[1].mean_concurrent_trials == pytest.approx(2.0, abs=0.01)


def test_a_search_that_measured_nothing_writes_none(make_search, drive):
    search = make_search(trials=2)
    drive(search)
    search.close()
    told = search.folder.lines("0001")
    assert told
    assert {(one.isolated_seconds, one.isolated_error) for one in told} == {(None, None)}
