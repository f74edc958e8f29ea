"""The best trial is the same one in a live search, the terminal, the page and a notification."""

import html
import io
import json
import re
import types

import pytest
from rich.console import Console

from analysis.load import load_run
from analysis.page import render
from analysis.ranking import best_by_trial, rank
from tests.analysis.conftest import RunWriter
from tune_ode.cli.display import leader
from tune_ode.cli.display.leader import Leader
from tune_ode.cli.display.ranking import print_ranking
from tune_ode.cli.notification import notification

CURVES = {
    "first by rate": ([(1.0, 0.9)], [(4.0, 0.5), (8.0, 0.94)]),
    "also the most accurate": ([(1.0, 0.94)], [(4.0, 0.5), (8.0, 0.9)]),
}


@pytest.fixture(params=CURVES)
def run(request, tmp_path):
    """Return a run whose first trial is disturbed, and has the highest rate."""
    run = RunWriter(tmp_path / "run")
    for trial_id, curve in zip(("0001", "0002"), CURVES[request.param], strict=True):
        run.trial(trial_id, curve)
    return run.folder


def page_of(run, ranking):
    return html.unescape(render(run, ranking, ranking.to_records(), []))


@pytest.mark.parametrize("by", ["accuracy_per_second", "anytime", "accuracy"])
@pytest.mark.parametrize("width", [40, 120])
def test_terminal_and_page_name_the_same_trial(run, by, width):
    loaded = load_run(run)
    ranking = rank(loaded, by=by)
    first = str(ranking.table["trial_id"].iloc[0])
    console = Console(file=io.StringIO(), width=width)
    print_ranking(ranking, console, limit=None)
    printed = console.file.getvalue()
    assert re.search(r"^1 +(\d{4})", printed, re.MULTILINE)[1] == first
    sentence = re.search(r"Best by .*? clock was disturbed", " ".join(printed.split()))[0]
    assert f": trial {first} " in sentence
    page = page_of(loaded, ranking)
    assert sentence in re.search(r'<p class="answer">(.*)</p>', page)[1]
    assert re.search(r'<tr[^>]* class="first"><td[^>]*>1</td><td[^>]*>(\d{4})<', page)[1] == first
    recommended = page[page.index('<h2 id="best">') :]
    assert f"Trial {first} is best by " in recommended
    assert f"tune-ode train {run}:{first}" in recommended


def test_a_live_search_and_a_notification_name_the_first_of_the_ranking(run, tmp_path):
    live = Leader(run)
    live.refresh()
    (sentence,) = live.standing.sentences
    assert sentence.startswith("Best by accuracy per second: trial 0001, ")
    assert "its clock was disturbed (starved); confirm it" in sentence
    saved = tmp_path / "saved"
    with notification(f"sh -c 'cat > {saved}'", run):
        pass
    assert json.loads(saved.read_text())["text"].endswith(f". {sentence}")


def test_the_standing_has_what_differs_and_how_the_best_has_risen(tmp_path):
    run = RunWriter(tmp_path / "run")
    for number, seconds in enumerate((4.0, 8.0, None, 2.0, 3.0), start=1):
        params = {"solver.method": "rk4", "model.width": 8 * number}
        run.trial(f"{number:04d}", [(seconds, 0.9)] if seconds else [], params=params)
    run.trial("0006", [(0.1, 0.5)], params=params)  # below the floor
    live = Leader(run.folder)
    live.refresh()
    assert live.standing.params == "width 32"
    assert live.standing.varied == {"model.width"}
    rates = rank(load_run(run.folder)).table.set_index("trial_id")["accuracy_per_second"]
    first, best = rates["0001"], rates["0004"]
    assert live.standing.history == [first, first, best, best, best]


def test_the_history_of_a_descending_metric_falls(tmp_path):
    run = RunWriter(tmp_path / "run")
    for number, seconds in ((9999, 4.0), (10000, 2.0)):
        run.trial(f"{number:04d}", [(seconds, 0.9)])
    assert best_by_trial(rank(load_run(run.folder), by="seconds")) == [4.0, 2.0]
    assert best_by_trial(rank(load_run(run.folder), floor=0.95)) == []


def test_budgets_lead_in_terminal_and_page(run):
    loaded = load_run(run)
    ranking = rank(loaded)
    console = Console(file=io.StringIO(), width=80)
    print_ranking(ranking, console, limit=None)
    lines = console.file.getvalue().splitlines()
    assert lines[0].split() == ["with", "use", "trial", "accuracy"]
    page = page_of(loaded, ranking)
    assert page.index('<h2 id="budgets">') < page.index('<h2 id="ranked">')


def test_a_confirmed_page_recommends_what_was_confirmed(tmp_path):
    run = RunWriter(tmp_path / "run")
    run.trial("0001", [(1.0, 0.9)])
    run.trial("0002", [(1.1, 0.9)])
    run.confirm([("0001", [(4.0, 0.9)], {}), ("0002", [(1.0, 0.9)], {})], default="0002")
    from analysis.confirmation.section import confirmation_section

    loaded = load_run(run.folder)
    ranking = rank(loaded)
    section = confirmation_section(loaded, ranking)
    assert "trial 0002" in section.answer
    assert "Trial 0001, which the search ranked first, has rank 2: its acc" in section.answer
    page = html.unescape(render(loaded, ranking, ranking.to_records(), [], [section]))
    assert "Trial 0002 is best by accuracy per second, retrained on fresh seeds." in page


def test_ranking_takes_at_most_a_fiftieth_of_a_core(run, monkeypatch):
    spent = iter([10.0, 10.5, 20.0, 20.001])
    clock = types.SimpleNamespace(thread_time=lambda: next(spent), monotonic=lambda: 100.0)
    monkeypatch.setattr(leader, "time", clock)
    live = Leader(run)
    live.refresh()
    assert live._due == pytest.approx(100 + 0.5 * 49)
    live.poll()
    assert live._thread is None, "not yet due"
    live.refresh()
    assert live._due == pytest.approx(100 + 3), "at most once in 3 s"


def test_a_run_that_cannot_be_ranked_does_not_disturb_the_search(tmp_path):
    live = Leader(tmp_path / "gone")
    live.poll()
    live._thread.join()
    assert live.standing is None
