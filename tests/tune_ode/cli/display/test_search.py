"""Display of a search: running trials, the best, and results, with and without a terminal."""

import io
import re

import pytest
from rich.console import Console

from tune_ode.cli.display.search import SearchDisplay
from tune_ode.records import Outcome
from tune_ode.worker.task import TrialEnd


@pytest.fixture
def started(make_search, report):
    """Return a search of four trials: one diverged, two running, the first with two reports."""
    search = make_search(trials=4, seconds=120)
    first, _, third = search.next_task(), search.next_task(), search.next_task()
    search.on_end(
        third.trial_id, TrialEnd(outcome=Outcome.DIVERGED, reason="the loss is not finite")
    )
    search.on_report(report(first, 1, 0.75))
    search.on_report(report(first, 2.5, 0.5, seconds=2.0))
    return search


def panel(search, width=120):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    display = SearchDisplay(search, console)
    display._leader.refresh()
    console.print(display._panel())
    return console.file.getvalue()


def test_the_panel_shows_best_progress_outcomes_and_running_trials(started, clock):
    clock.now += 30
    text = panel(started)
    assert "Best by accuracy per second: trial 0001, 75.00% validation accuracy after 1 s" in text
    assert re.search(r"1/4 trials +0:30 +1:30 left", text)
    assert "1 diverged" in text
    first, second = re.findall(r"^ *(000[12] .*)$", text, re.MULTILINE)
    assert first.split()[:4] == ["0001", "2.5", "2.0", "0.7500"], "epoch, seconds, best accuracy"
    assert second.split()[:4] == ["0002", "-", "-", "-"]


def test_the_panel_shows_waiting_and_stopping(make_search, started):
    assert "starting the workers" in panel(make_search("other"))
    started.stop("interrupted")
    assert "stopping: interrupted" in panel(started)


def test_the_display_shows_a_status_while_no_trial_runs(make_search):
    search = make_search()
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    display = SearchDisplay(search, console)
    with display.status("timing a step …"):
        console.print(display._panel())
    assert "timing a step" in console.file.getvalue()
    console = Console(file=io.StringIO(), width=80)
    with SearchDisplay(search, console).status("timing a step …"):
        pass
    assert console.file.getvalue() == "timing a step …\n"


@pytest.mark.parametrize("width", [40, 60])
def test_a_narrow_terminal_shows_ids_and_numbers(started, width):
    lines = panel(started, width).splitlines()
    assert max(map(len, lines)) <= width
    assert lines[-2].split()[:4] == ["0001", "2.5", "2.0", "0.7500"]


def test_without_a_terminal_each_end_is_one_line(started):
    console = Console(file=io.StringIO(), width=80)
    with SearchDisplay(started, console) as display:
        # trials that had ended before, such as those of an earlier start, are not printed
        started.on_end("0002", TrialEnd(outcome=Outcome.FAILED, reason="KeyError: 'x'"))
        display.tick()
        display.tick()
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("trial 0002 failed: KeyError: 'x'  [2/4 trials, 1 running")
