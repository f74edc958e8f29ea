"""Runs a search in this process, one trial at a time: for `tune-ode train` and for tests."""

from __future__ import annotations

from collections.abc import Callable

from tune_ode.records import Report
from tune_ode.tuning.search.search import Search
from tune_ode.worker.task import RunTrial
from tune_ode.worker.task import run_trial as train


def run_in_process(
    search: Search, run_trial: RunTrial = train, *, tick: Callable[[], None] = lambda: None
) -> None:
    """Run a search to its end.

    Args:
        search: supplies tasks and receives events.
        run_trial: trains one task and yields its events.
        tick: called after every event.
    """
    while (task := search.next_task()) is not None:
        search.on_start(task.trial_id)
        for event in run_trial(task):
            if isinstance(event, Report):
                running = search.on_report(event)
            else:
                search.on_end(task.trial_id, event)
                running = False
            tick()
            if not running:
                break
