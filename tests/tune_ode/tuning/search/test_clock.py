"""A clock that is set during a search changes neither its time budget nor its decisions."""

import time
from types import SimpleNamespace

from tune_ode.process import clock as clock_module
from tune_ode.process.clock import steady_clock


def test_a_clock_that_is_set_moves_no_stamp_and_no_duration(monkeypatch):
    now = steady_clock()
    before = now()
    assert abs(before - time.time()) < 1
    monkeypatch.setattr(
        clock_module, "time", SimpleNamespace(time=lambda: 0.0, monotonic=time.monotonic)
    )
    assert 0 <= now() - before < 60


def test_an_hour_forward_does_not_end_a_search(make_search, monkeypatch):
    search = make_search(seconds=70, steady=True)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    assert not search.should_stop()
    assert search.elapsed() < 60


def test_rungs_are_replayed_in_order_of_arrival(make_search, clock, report):
    """A clock that is set back between two starts gives the later reports the earlier stamps."""
    search = make_search(trials=6)
    tasks = [search.next_task() for _ in range(3)]
    for task, accuracy in zip(tasks, (0.1, 0.2, 0.3), strict=True):
        clock.now -= 1000
        search.on_report(report(task, 1, accuracy, seconds=2.0))
    records = [list(rung) for rung in search.scheduler.records]
    assert any(len(rung) == 3 for rung in records)
    search = make_search(trials=6)
    assert [list(rung) for rung in search.scheduler.records] == records


def test_the_dashboard_gets_metric_names_and_numbers_that_follow_the_trials(make_search, drive):
    names = {"accuracy": 1, "pareto": 2}
    for objective, count in names.items():
        search = make_search(objective, trials=4, objective=objective)
        drive(search)
        search.close()
        study = search.study.study
        assert len(study.metric_names) == count
        assert study.metric_names[0] == "validation accuracy"
        numbers = {int(t.user_attrs["trial_id"]) - 1: t.number for t in study.get_trials()}
        assert numbers == {number: number for number in range(4)}, "Optuna counts from 0"
