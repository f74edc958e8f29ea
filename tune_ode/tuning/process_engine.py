"""Runs a `Search` in this process, one trial after the other: `tune-ode train`, and tests."""

from __future__ import annotations

from collections.abc import Callable

from tune_ode.records import ReportLine
from tune_ode.tuning.search import Search
from tune_ode.tuning.task import Answer, answer


def run_in_process(
    search: Search, answer: Answer = answer, *, tick: Callable[[], None] = lambda: None
) -> None:
    """Run a search to its end.

    Args:
        search: what to try, and what to do with the results.
        answer: trains one task and yields its messages.
        tick: called after every message.
    """
    while (task := search.next_task()) is not None:
        search.begin(task.trial_id)
        for message in answer(task):
            if isinstance(message, ReportLine):
                goes_on = search.report(message)
            else:
                search.end(task.trial_id, message)
                goes_on = False
            tick()
            if not goes_on:
                break
