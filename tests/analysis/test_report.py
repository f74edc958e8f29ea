"""The page holds what was found, needs nothing from elsewhere, and no text can break out of it."""

import html
import json
import re
import shlex
from html.parser import HTMLParser

import pytest
import yaml

from analysis import plots, style
from analysis.load import load_run
from analysis.rank import rank
from analysis.report import write_report
from tune_ode.errors import RunFolderError


def test_the_report_is_one_page_with_its_plots_and_tables(by_hand):
    page = write_report(by_hand)
    folder = page.parent
    assert {path.name for path in folder.iterdir()} == {
        "index.html", "ranking.csv", "ranking.json", "accuracy-over-time.png",
        "accuracy-against-time.png",
    }  # fmt: skip
    assert json.loads((folder / "ranking.json").read_text())[0]["trial_id"] == "0002"
    text = page.read_text()
    assert "Trial 0002 (rk4) is first of 9 trials: 88.00%" in text
    assert "the loss is not finite" in text
    assert not re.findall(r'(?:src|href)="(?!data:image/png|ranking\.)', text), "self-contained"


def test_text_from_outside_is_escaped(make_run):
    evil = '<script>alert("x")</script>'
    run = make_run()
    run.trial("0001", [(1.0, 0.9)], params={evil: evil})
    run.trial("0002", [], "failed", reason=evil)
    manifest = run.folder / "run.json"
    manifest.write_text(manifest.read_text().replace("by hand", evil.replace('"', '\\"')))
    text = write_report(run.folder).read_text()
    assert "<script" not in text
    parser = TagCounter()
    parser.feed(text)
    assert "script" not in parser.tags


class TagCounter(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)


@pytest.mark.parametrize("curves", [[], [[]], [[(1.0, 0.5)]], [[(1.0, None)]]])
def test_a_run_that_measured_little_or_nothing_still_has_a_report(make_run, curves):
    run = make_run(trial_seconds=None)
    for number, curve in enumerate(curves, start=1):
        run.trial(f"{number:04d}", curve, "diverged")
    assert "tune-ode" in write_report(run.folder).read_text()


def test_a_report_that_cannot_be_written_is_said_in_one_line(by_hand):
    (by_hand / "report").touch()
    with pytest.raises(RunFolderError, match="cannot write the report"):
        write_report(by_hand)


def test_the_envelope_is_the_best_of_all_trials_so_far(by_hand):
    run = load_run(by_hand)
    data = plots.curves_data(run, rank(run))
    assert [line.trial_id for line in data.highlighted] == ["0002", "0001", "0003", "0008"]
    assert [line.trial_id for line in data.others] == ["0009", "0004"], "the ranked are highlighted"
    reached = dict(zip(*data.envelope, strict=True))
    assert reached == {1.0: 0.7, 2.0: 0.8, 3.0: 0.88, 4.0: 0.9, 8.0: 0.92}


def test_the_front_marks_reports_that_none_beats(by_hand):
    run = load_run(by_hand)
    data = plots.front_data(run, rank(run))
    front = sorted(zip(data.seconds[data.on_front], data.accuracy[data.on_front], strict=True))
    # 0001 and 0003 both reach 0.8 after 2 s and 0.9 after 4 s
    assert front == [
        (1.0, 0.7), (2.0, 0.8), (2.0, 0.8), (3.0, 0.88), (4.0, 0.9), (4.0, 0.9), (8.0, 0.92),
    ]  # fmt: skip
    assert data.best == (3.0, 0.88, "0002")


def test_plots_draw_what_their_data_hold(by_hand):
    run = load_run(by_hand)
    ranking = rank(run)
    _, ax = style.figure()
    plots.plot_curves(plots.curves_data(run, ranking), ax)
    assert ax.get_xscale() == "log"
    assert "second" in ax.get_xlabel()
    drawn = [tuple(line.get_ydata()) for line in ax.lines]
    assert (0.7, 0.88) in drawn


def test_a_legend_names_only_what_differs(make_run):
    run = make_run()
    run.trial("0001", [(1.0, 0.9)], params={"solver.method": "rk4", "model.width": 64})
    run.trial("0002", [(2.0, 0.9)], params={"solver.method": "euler", "model.width": 64})
    loaded = load_run(run.folder)
    labels = [line.label for line in plots.curves_data(loaded, rank(loaded)).highlighted]
    assert labels == ["1.  0001  rk4", "2.  0002  euler"]


def test_the_command_asks_the_question_again(make_run):
    run = make_run()
    manifest = json.loads((run.folder / "run.json").read_text())
    fix = {"solver.method": "rk4", "optimizer.learning_rate": 1e-5, "data.mean": [0.5]}
    manifest["question"] = {
        "command": "search", "dataset": "folder:/my images", "fix": fix, "trials": 20,
        "time_budget": 1234567.0, "data_dir": None, "name": "x", "output": "y",
    }  # fmt: skip
    (run.folder / "run.json").write_text(json.dumps(manifest))
    text = html.unescape(write_report(run.folder).read_text())
    command = next(line for line in text.splitlines() if "tune-ode search" in line)
    words = shlex.split(re.sub("<[^>]*>", "", command))
    assert words[:2] == ["tune-ode", "search"]
    fixed = [words[at + 1].split("=") for at, word in enumerate(words) if word == "--fix"]
    assert {name: yaml.safe_load(value) for name, value in fixed} == fix
    assert words[words.index("--dataset") :] == [
        "--dataset", "folder:/my images", "--trials", "20", "--time-budget", "1234567",
    ]  # fmt: skip


@pytest.mark.parametrize("plot", plots.PLOTS, ids=lambda plot: plot.name)
@pytest.mark.parametrize("ending", ["completed", "diverged"])
def test_every_plot_says_what_is_seen(make_run, plot, ending):
    run = make_run()
    run.trial("0001", [(1.2, 0.5), (1.4, 0.7)], ending)
    run.trial("0002", [], ending)
    loaded = load_run(run.folder)
    _, ax = style.figure()
    plot.draw(loaded, rank(loaded), ax)
    assert "1 measured trial" in ax.get_title(loc="left")
    assert "second" in ax.get_xlabel()
    assert ax.get_ylabel()
    low, high = ax.get_xlim()
    ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
    assert len(ticks) >= 2, "the seconds can be read where they span less than a decade"


@pytest.mark.long
def test_a_run_of_a_thousand_trials_is_reported(make_run):
    run = make_run()
    for number in range(1, 1001):
        curve = [(0.01 * number * epoch, 1 - 1 / (1 + epoch)) for epoch in range(1, 21)]
        run.trial(f"{number:04d}", curve)
    page = write_report(run.folder)
    rows = json.loads((page.parent / "ranking.json").read_text())
    assert [row["rank"] for row in rows] == list(range(1, 1001))
