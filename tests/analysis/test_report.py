"""The page shows the result, is self-contained, and escapes text from outside."""

import base64
import hashlib
import html
import json
import re
import shlex
from collections import Counter
from html.parser import HTMLParser

import pytest
import yaml

from analysis.load import load_run
from analysis.page import render
from analysis.page import text as sentences
from analysis.plots import PLOTS
from analysis.report import watch_report, write_report
from tests.analysis.conftest import load_ranked
from tune_ode.errors import RunFolderError, UsageError


def page_of(folder):
    """Return the page without plots, which take seconds to draw."""
    run, ranking = load_ranked(folder)
    return render(run, ranking, ranking.to_records(), [])


def test_the_report_is_a_self_contained_page_with_plots_and_tables(by_hand):
    left = by_hand / "report" / "importance.png"
    left.parent.mkdir()
    left.touch()
    page = write_report(*load_ranked(by_hand))
    folder = page.parent
    pictures = {path.stem for path in folder.glob("*.png")}
    assert {path.name for path in folder.iterdir()} - {f"{name}.png" for name in pictures} == {
        "index.html", "ranking.csv", "ranking.json",
    }  # fmt: skip
    assert {"accuracy-over-time", "accuracy-against-time", "timeline"} <= pictures <= set(PLOTS)
    assert json.loads((folder / "ranking.json").read_text())[0]["trial_id"] == "0002"
    text = page.read_text()
    assert "Best by accuracy per second: trial 0002 (rk4), 88.00% validation accuracy" in text
    assert "the loss is not finite" in text
    elsewhere = r'(?:src|href)="(?!data:image/|ranking\.|#)'
    assert not re.findall(elsewhere, text), "self-contained"
    for name in pictures:
        assert html.escape(PLOTS[name].how_to_read) in text
    assert not left.exists(), "a plot with nothing to show is removed"


def test_the_answer_includes_its_uncertainty(make_run):
    run = make_run()
    run.trial("0001", [(1.0, 0.9)])
    run.trial("0002", [(1.05, 0.9)])
    run.change_manifest(validation_images=100)
    text = page_of(run.folder)
    assert "selected from 2 measured trials" in text
    assert "100 validation images, 90.00% means 82.6% to 94.5% with 95% confidence" in text
    assert "1 other trial cannot be told from it" in text
    assert re.search(r"other seeds would show 0.\d+ of accuracy per second, 0.\d+ to", text)


def test_the_answer_names_the_best_trial_of_each_device(run_of_12):
    run, ranking = run_of_12
    text = sentences.answer(run, ranking)
    assert "Best on cpu by accuracy per second: trial 0002 (euler, backprop), 88.00%" in text
    assert (
        "Best on NVIDIA A100 by accuracy per second: trial 0009 (euler, backprop), 90.00%" in text
    )


def test_text_from_outside_is_escaped(make_run):
    evil = '<script>alert("x")</script>'
    run = make_run()
    run.trial("0001", [(1.0, 0.9)], params={evil: evil})
    run.trial("0002", [], "failed", reason=evil)
    run.change_manifest(name=evil)
    text = page_of(run.folder)
    assert evil not in text
    parser = TagCounter()
    parser.feed(text)
    assert parser.tags["script"] == 1, "that of the page"


class TagCounter(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = Counter()

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1


def test_the_content_security_policy_allows_only_the_script_of_the_page(by_hand):
    text = page_of(by_hand)
    policy = html.unescape(re.search(r'Security-Policy" content="([^"]*)"', text)[1])
    assert "default-src 'none'" in policy
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        content = re.search(f"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy


def test_the_page_of_a_contended_search_shows_the_slowdown_and_the_clock(contended):
    text = " ".join(page_of(contended).split())
    assert "with 3 others a training step takes 4.08 ± 0.50 times the seconds" in text
    assert "after 1.5 s of isolated training time" in text
    assert "isolated s" in text
    assert "on the isolated clock" in text


def test_failures_are_grouped_by_reason(make_run):
    run = make_run()
    run.trial("0001", [], "out_of_memory", reason="tried to allocate 2.00 GiB")
    run.trial("0002", [], "diverged", reason="the loss is not finite")
    run.trial("0003", [], "out_of_memory", reason="tried to allocate 3.5 GiB")
    assert sentences.failures(load_run(run.folder)) == [
        ("out_of_memory", "tried to allocate 2.00 GiB", ["0001", "0003"]),
        ("diverged", "the loss is not finite", ["0002"]),
    ]


@pytest.mark.parametrize(
    ("reasons", "state"),
    [
        (["no space left"], "interrupted (no space left)"),
        (["interrupted"], "interrupted"),
        ([], "interrupted"),
    ],
)
def test_an_interrupted_search_shows_the_reason(make_run, reasons, state):
    run = make_run()
    run.trial("0001", [(1.0, 0.5)])
    for number, reason in enumerate(reasons, start=2):
        run.trial(f"{number:04d}", [(1.0, 0.5)], "interrupted", reason=reason)
    assert sentences.state(load_run(run.folder)) == "finished"
    run.change_manifest(state="interrupted")
    assert sentences.state(load_run(run.folder)) == state
    assert f"{state};" in page_of(run.folder)


def test_a_watched_report_is_rewritten_until_the_search_ends(make_run):
    run = make_run()
    run.trial("0001", [(1.0, 0.5)], None)
    seen, first = [], []

    def sleep(seconds):
        page = (run.folder / "report" / "index.html").read_text()
        seen.append(("data-refresh" in page, "50.00%" in page, "90.00%" in page))
        assert seconds >= 2.0
        run.trial(f"{len(seen) + 1:04d}", [(1.0, 0.9)])
        if len(seen) == 2:
            run.change_manifest(state="finished")

    run.change_manifest(state="running")
    page = watch_report(
        lambda: load_ranked(run.folder), every=2.0, on_first=first.append, sleep=sleep
    )
    assert seen == [(True, True, False), (True, False, True)]
    assert first == [page]
    assert "data-refresh" not in page.read_text(), "a finished search needs no reload"
    with pytest.raises(UsageError, match="at least 1 s; found 0"):
        watch_report(lambda: load_ranked(run.folder), every=0.0)


@pytest.mark.parametrize("curves", [[], [[]], [[(1.0, 0.5)]], [[(1.0, None)]]])
def test_a_run_with_few_or_no_measurements_has_a_report(make_run, curves):
    run = make_run(trial_seconds=None)
    for number, curve in enumerate(curves, start=1):
        run.trial(f"{number:04d}", curve, "diverged")
    assert "tune-ode" in page_of(run.folder)


def test_a_report_that_cannot_be_written_is_an_error(by_hand):
    (by_hand / "report").touch()
    with pytest.raises(RunFolderError, match="cannot write the report"):
        write_report(*load_ranked(by_hand))


def test_the_command_repeats_the_run(make_run):
    run = make_run()
    fix = {"solver.method": "rk4", "optimizer.learning_rate": 1e-5, "data.mean": [0.5]}
    run.change_manifest(
        options={
            "command": "search", "dataset": "folder:/my images", "fix": fix, "trials": 20,
            "time_budget": 1234567.0, "data_dir": None, "name": "x", "output": "y",
            "calibrate": False,
        }
    )  # fmt: skip
    text = html.unescape(page_of(run.folder))
    command = next(line for line in text.splitlines() if "tune-ode search" in line)
    arguments = shlex.split(re.sub("<[^>]*>", "", command))
    assert arguments[:2] == ["tune-ode", "search"]
    fixed = [
        arguments[at + 1].split("=") for at, argument in enumerate(arguments) if argument == "--fix"
    ]
    assert {name: yaml.safe_load(value) for name, value in fixed} == fix
    assert arguments[arguments.index("--dataset") :] == [
        "--dataset", "folder:/my images", "--trials", "20", "--time-budget", "1234567",
        "--no-calibrate",
    ]  # fmt: skip


@pytest.mark.long
def test_a_run_of_a_thousand_trials_has_a_report(make_run):
    run = make_run()
    for number in range(1, 1001):
        curve = [(0.01 * number * epoch, 1 - 1 / (1 + epoch)) for epoch in range(1, 21)]
        run.trial(f"{number:04d}", curve)
    page = write_report(*load_ranked(run.folder))
    rows = json.loads((page.parent / "ranking.json").read_text())
    assert [row["rank"] for row in rows] == list(range(1, 1001))


def test_rows_that_the_page_omits_are_counted(by_hand, monkeypatch):
    monkeypatch.setattr("analysis.page.MAX_ROWS", 4)
    text = page_of(by_hand)
    assert text.count("<tr data-outcome") == 4
    assert "5 more trials are in the files" in text
