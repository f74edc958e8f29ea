"""Display of a search: running trials, the best, and results, with and without a terminal."""

import dataclasses
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


def panel(search, width=120, height=40):
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None
    )
    display = SearchDisplay(search, console)
    display._earlier = 0  # the trials ended under this display
    display._leader.refresh()
    console.print(display._panel())
    return console.file.getvalue()


def test_the_panel_shows_best_progress_outcomes_and_running_trials(started, clock):
    clock.now += 30
    text = panel(started)
    assert "Best by accuracy per second: trial 0001, 75.00% validation accuracy after 1 s" in text
    assert re.search(r"1/4 trials +0:30, 1:30 left", text)
    assert re.search(r"2 trials/min +1 diverged", text)
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
    assert ["0001", "2.5", "2.0", "0.7500"] in [line.split()[:4] for line in lines]


@pytest.fixture
def busy(make_search, report):
    """Return a search of twelve running trials, after six that failed."""
    search = make_search(trials=100)
    tasks = [search.next_task() for _ in range(18)]
    for number, task in enumerate(tasks[:6]):
        reason = "KeyError: [x] " * (9 if number else 1)  # equal ones would end the search
        search.on_end(task.trial_id, TrialEnd(outcome=Outcome.FAILED, reason=reason))
    for number, task in enumerate(tasks[6:]):
        assert search.on_report(report(task, 1, 0.5, seconds=0.2 - 0.01 * number))
    return search


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("height", [14, 24, 60])
def test_the_panel_fits_the_terminal_and_counts_what_does_not(busy, width, height):
    lines = panel(busy, width, height).splitlines()
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    at = next(index for index, line in enumerate(lines) if line.startswith("running"))
    shown = sum(bool(re.match(r"00(0[7-9]|1\d) ", line)) for line in lines[at:])
    more = re.search(r"and (\d+) more running", "\n".join(lines))
    assert shown + int(more[1] if more else 0) == 12
    assert shown == 12 or (height < 60 and shown >= 1)
    assert "6 failed" in " ".join(" ".join(lines).split())


def test_the_panel_shows_the_last_five_endings_with_their_reasons(busy):
    text = panel(busy)
    endings = text[text.index("ended") :].splitlines()[1:]
    assert [line.split()[:3] for line in endings] == [
        [f"{number:04d}", "failed", "KeyError:"] for number in (6, 5, 4, 3, 2)
    ]
    assert "[x]" in endings[0], "text from outside is not markup"


def test_the_panel_shows_the_best_configuration_and_how_its_rate_has_risen(busy):
    text = panel(busy)
    assert re.search(r"^  lr .*, epochs \d+, (backprop|adjoint) *$", text, re.MULTILINE)
    assert re.search(r"^  [▁▂▃▄▅▆▇█]+  \S+ → \S+ accuracy per second", text, re.MULTILINE)


def test_a_resumed_search_counts_its_own_trials_for_the_pace(started, clock):
    clock.now += 30
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    display = SearchDisplay(started, console)  # a trial had ended before
    console.print(display._panel())
    text = console.file.getvalue()
    assert "1/4 trials" in text
    assert "trials/min" not in text
    assert "ended" not in text


def test_without_a_terminal_each_end_is_one_line(started):
    console = Console(file=io.StringIO(), width=80)
    with SearchDisplay(started, console) as display:
        # trials that had ended before, such as those of an earlier start, are not printed
        started.on_end("0002", TrialEnd(outcome=Outcome.FAILED, reason="KeyError: 'x'"))
        display.tick()
        display.tick()
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 1, "the best has not been ranked yet"
    assert lines[0].startswith("trial 0002 failed: KeyError: 'x'  [2/4 trials, 1 running, ")
    assert re.search(r"trials/min, 0:00, 2:00 left", lines[0])
    assert "\x1b" not in lines[0]


def test_without_a_terminal_the_best_is_printed_when_it_changes(started):
    console = Console(file=io.StringIO(), width=80)
    display = SearchDisplay(started, console)
    display._leader.refresh()
    display._leader.poll = lambda: None
    display.tick()
    standing = display._leader.standing
    remark = f"{standing.sentences[0]}; trial 0002 is more accurate"
    display._leader.standing = dataclasses.replace(standing, sentences=[remark])
    display.tick()
    (line,) = console.file.getvalue().splitlines()
    assert line.startswith("Best by accuracy per second: trial 0001, ")
