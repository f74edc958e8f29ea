"""The page holds what was found, needs nothing from elsewhere, and no text can break out of it."""

import base64
import hashlib
import html
import json
import re
import shlex
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from analysis.load import load_run
from analysis.page import render, words
from analysis.plots import PLOTS
from analysis.rank import rank
from analysis.report import watch_report, write_report
from tune_ode.errors import RunFolderError, UsageError


def page_of(folder):
    """Return the page without its plots, which take seconds to draw."""
    run = load_run(folder)
    ranking = rank(run)
    return render(run, ranking, ranking.to_records(), [])


def test_the_report_is_one_page_with_its_plots_and_tables(by_hand):
    left = by_hand / "report" / "importance.png"
    left.parent.mkdir()
    left.touch()
    page = write_report(by_hand)
    folder = page.parent
    pictures = {path.stem for path in folder.glob("*.png")}
    assert {path.name for path in folder.iterdir()} - {f"{name}.png" for name in pictures} == {
        "index.html", "ranking.csv", "ranking.json",
    }  # fmt: skip
    assert {"accuracy-over-time", "accuracy-against-time", "timeline"} <= pictures <= set(PLOTS)
    assert json.loads((folder / "ranking.json").read_text())[0]["trial_id"] == "0002"
    text = page.read_text()
    assert "Trial 0002 (rk4) is first of 6 measured trials: 88.00% validation accuracy" in text
    assert "the loss is not finite" in text
    elsewhere = r'(?:src|href)="(?!data:image/|ranking\.|#)'
    assert not re.findall(elsewhere, text), "self-contained"
    for name in pictures:
        assert html.escape(PLOTS[name].how_to_read) in text
    assert not left.exists(), "a plot that has nothing to show any more goes"


def test_the_answer_tells_its_uncertainty(make_run):
    run = make_run()
    run.trial("0001", [(1.0, 0.9)])
    run.trial("0002", [(1.05, 0.9)])
    manifest = json.loads((run.folder / "run.json").read_text()) | {"validation_images": 100}
    (run.folder / "run.json").write_text(json.dumps(manifest))
    text = page_of(run.folder)
    assert "(82.6% to 94.5% with 95% confidence, from 100 images)" in text
    assert "1 other trial came within a tenth of its rate" in text


def test_the_answer_names_the_first_of_each_device():
    run = load_run(Path(__file__).parents[1] / "data" / "run-of-12")
    ranking = rank(run)
    text = words.answer(run, ranking, ranking.to_records()[0])
    assert "Trial 0002 (euler, backprop) is first of 5 measured trials on cpu" in text
    assert "On NVIDIA A100 it is trial 0009 (euler, backprop): 90.00% after 0.2 s." in text


def test_text_from_outside_is_escaped(make_run):
    evil = '<script>alert("x")</script>'
    run = make_run()
    run.trial("0001", [(1.0, 0.9)], params={evil: evil})
    run.trial("0002", [], "failed", reason=evil)
    manifest = run.folder / "run.json"
    manifest.write_text(manifest.read_text().replace("by hand", evil.replace('"', '\\"')))
    text = page_of(run.folder)
    assert evil not in text
    parser = TagCounter()
    parser.feed(text)
    assert parser.tags["script"] == 1, "its own"


class TagCounter(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = Counter()

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1


def test_the_policy_of_the_page_allows_its_own_script_alone(by_hand):
    text = page_of(by_hand)
    policy = html.unescape(re.search(r'Security-Policy" content="([^"]*)"', text)[1])
    assert "default-src 'none'" in policy
    for tag, what in (("script", "script-src"), ("style", "style-src")):
        content = re.search(f"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{what} 'sha256-{digest}'" in policy


def test_the_page_of_a_search_that_shared_tells_the_price_and_whose_seconds_rank(priced):
    text = " ".join(page_of(priced).split())
    assert "beside 3 others a training step takes 4.00 ± 0.50 times the seconds" in text
    assert "after 1.5 s of isolated training time" in text
    assert "alone s" in text
    assert "on the isolated clock" in text


def test_failures_are_grouped_by_reason(make_run):
    run = make_run()
    run.trial("0001", [], "out_of_memory", reason="tried to allocate 2.00 GiB")
    run.trial("0002", [], "diverged", reason="the loss is not finite")
    run.trial("0003", [], "out_of_memory", reason="tried to allocate 3.5 GiB")
    assert words.failures(load_run(run.folder)) == [
        ("out_of_memory", "tried to allocate 2.00 GiB", ["0001", "0003"]),
        ("diverged", "the loss is not finite", ["0002"]),
    ]


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        (["the time budget is used up"], "interrupted: the time budget is used up"),
        (["interrupted"], "interrupted"),
        ([], "interrupted"),
    ],
)
def test_a_search_that_was_cut_off_says_why(make_run, reasons, said):
    run = make_run()
    run.trial("0001", [(1.0, 0.5)])
    for number, reason in enumerate(reasons, start=2):
        run.trial(f"{number:04d}", [(1.0, 0.5)], "interrupted", reason=reason)
    assert words.state(load_run(run.folder)) == "finished"
    run.set_state("interrupted")
    assert words.state(load_run(run.folder)) == said
    assert f"{said};" in page_of(run.folder)


def test_a_watch_writes_until_the_search_has_ended(make_run):
    run = make_run()
    run.trial("0001", [(1.0, 0.5)], None)
    seen, told = [], []

    def rest(seconds):
        page = (run.folder / "report" / "index.html").read_text()
        seen.append(("data-refresh" in page, "50.00%" in page, "90.00%" in page))
        assert seconds >= 2.0
        run.trial(f"{len(seen) + 1:04d}", [(1.0, 0.9)])
        if len(seen) == 2:
            run.set_state("finished")

    run.set_state("running")
    page = watch_report(run.folder, every=2.0, told=told.append, rest=rest)
    assert seen == [(True, True, False), (True, False, True)]
    assert told == [page]
    assert "data-refresh" not in page.read_text(), "what is finished needs no reload"
    with pytest.raises(UsageError, match="at least 1 s; found 0"):
        watch_report(run.folder, every=0.0)


@pytest.mark.parametrize("curves", [[], [[]], [[(1.0, 0.5)]], [[(1.0, None)]]])
def test_a_run_that_measured_little_or_nothing_still_has_a_report(make_run, curves):
    run = make_run(trial_seconds=None)
    for number, curve in enumerate(curves, start=1):
        run.trial(f"{number:04d}", curve, "diverged")
    assert "tune-ode" in page_of(run.folder)


def test_a_report_that_cannot_be_written_is_said_in_one_line(by_hand):
    (by_hand / "report").touch()
    with pytest.raises(RunFolderError, match="cannot write the report"):
        write_report(by_hand)


def test_the_command_asks_the_question_again(make_run):
    run = make_run()
    manifest = json.loads((run.folder / "run.json").read_text())
    fix = {"solver.method": "rk4", "optimizer.learning_rate": 1e-5, "data.mean": [0.5]}
    manifest["options"] = {
        "command": "search", "dataset": "folder:/my images", "fix": fix, "trials": 20,
        "time_budget": 1234567.0, "data_dir": None, "name": "x", "output": "y",
        "calibrate": False,
    }  # fmt: skip
    (run.folder / "run.json").write_text(json.dumps(manifest))
    text = html.unescape(page_of(run.folder))
    command = next(line for line in text.splitlines() if "tune-ode search" in line)
    words = shlex.split(re.sub("<[^>]*>", "", command))
    assert words[:2] == ["tune-ode", "search"]
    fixed = [words[at + 1].split("=") for at, word in enumerate(words) if word == "--fix"]
    assert {name: yaml.safe_load(value) for name, value in fixed} == fix
    assert words[words.index("--dataset") :] == [
        "--dataset", "folder:/my images", "--trials", "20", "--time-budget", "1234567",
        "--no-calibrate",
    ]  # fmt: skip


@pytest.mark.long
def test_a_run_of_a_thousand_trials_is_reported(make_run):
    run = make_run()
    for number in range(1, 1001):
        curve = [(0.01 * number * epoch, 1 - 1 / (1 + epoch)) for epoch in range(1, 21)]
        run.trial(f"{number:04d}", curve)
    page = write_report(run.folder)
    rows = json.loads((page.parent / "ranking.json").read_text())
    assert [row["rank"] for row in rows] == list(range(1, 1001))


def test_what_the_page_leaves_out_is_counted(by_hand, monkeypatch):
    monkeypatch.setattr("analysis.page.MOST_ROWS", 4)
    text = page_of(by_hand)
    assert text.count("<tr data-outcome") == 4
    assert "5 more trials are in the files" in text
