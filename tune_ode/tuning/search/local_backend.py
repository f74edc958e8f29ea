"""Runs a `Search` in this process, one trial after the other: `tune-ode train`, and tests."""

from __future__ import annotations

from collections.abc import Callable

from tune_ode.records import Report
from tune_ode.tuning.search.search import Search
from tune_ode.worker.task import RunTrial, run_trial


def run_in_process(
    search: Search, answer: RunTrial = run_trial, *, tick: Callable[[], None] = lambda: None
) -> None:
    """Run a search to its end.

    Args:
        search: what to try, and what to do with the results.
        answer: trains one task and yields its messages.
        tick: called after every message.
    """
    while (task := search.next_task()) is not None:
        search.on_start(task.trial_id)
        for message in answer(task):
            if isinstance(message, Report):
                goes_on = search.on_report(message)
            else:
                search.on_end(task.trial_id, message)
                goes_on = False
            tick()
            if not goes_on:
                break
