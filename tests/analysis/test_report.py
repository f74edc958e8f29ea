"""The page holds what was found, needs nothing from elsewhere, and no text can break out of it."""

import json
import re
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import pytest

from analysis import plots
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
    assert "Trial 0002 is first of 9" in text
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
    assert [line.trial_id for line in data.highlighted[:2]] == ["0002", "0001"]
    reached = dict(zip(data.envelope.seconds, data.envelope.accuracy, strict=True))
    assert reached == {1.0: 0.7, 2.0: 0.8, 3.0: 0.88, 4.0: 0.9, 8.0: 0.92}


def test_the_front_marks_reports_that_none_beats(by_hand):
    run = load_run(by_hand)
    data = plots.front_data(run, rank(run))
    front = sorted(zip(data.seconds[data.on_front], data.accuracy[data.on_front], strict=True))
    # 0001 and 0003 both reach 0.8 after 2 s and 0.9 after 4 s
    assert front == [
        (1.0, 0.7), (2.0, 0.8), (2.0, 0.8), (3.0, 0.88), (4.0, 0.9), (4.0, 0.9), (8.0, 0.92),
    ]  # fmt: skip
    assert data.best_rate == pytest.approx((0.88 - 0.1) / 3)


def test_plots_draw_what_their_data_hold(by_hand):
    run = load_run(by_hand)
    ranking = rank(run)
    _, ax = plots.figure()
    plots.plot_curves(plots.curves_data(run, ranking), ax)
    assert ax.get_xscale() == "log"
    assert "second" in ax.get_xlabel()
    drawn = [tuple(line.get_ydata()) for line in ax.lines]
    assert (0.7, 0.88) in drawn
    plt.close("all")
