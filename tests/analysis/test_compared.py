"""A comparison's figures and words, from lines that can be worked out by hand."""

import html
import json
import math
import re
from pathlib import Path

import pytest

from analysis.compared import EXPECTED, PUBLISHED, load_compared
from analysis.load import load_run
from analysis.page import compared_words
from analysis.page.compared_table import table
from analysis.plots import draw
from analysis.plots.compared import compared_data
from analysis.rank import rank
from analysis.report import write_report

FORMAT = (Path(__file__).parents[2] / "docs" / "results-format.md").read_text()


@pytest.fixture
def compare(make_run):
    """Return a function that writes a comparison, as `RunWriter.compare`, and reads it."""

    def compare(trainings, **options):
        run = make_run(trial_seconds=None)
        run.compare(trainings, **options)
        return load_run(run.folder)

    return compare


def classic(**seconds):
    """The four cases with these seconds an epoch, and one accuracy."""
    costs = dict.fromkeys(EXPECTED, 1.0) | seconds
    return [(case, 0, costs[case], (0.8, 0.9)) for case in EXPECTED]


def in_words(run):
    return compared_words.paragraph(load_compared(run))


def test_figures_of_two_seeds(compare):
    run = compare(
        [
            ("rk4:adjoint", 0, 2.0, (0.5, 0.90), {"nfe_backward": 4.0}),
            ("rk4:adjoint", 1, 4.0, (0.6, 0.94), {"nfe_backward": 8.0}),
        ],
        seeds=2,
    )
    (row,) = load_compared(run).to_records()
    assert (row["case"], row["trainings"], row["completed"]) == ("rk4:adjoint", 2, 2)
    assert row["seconds_per_epoch"] == pytest.approx(3.0)
    # standard error 1, and Student's t of one degree of freedom
    assert row["seconds_per_epoch_high"] == pytest.approx(3.0 + 12.706, abs=1e-3)
    # wall seconds are 2 s + 1, of which 0.5 s warm-up, over two epochs
    assert row["whole_seconds_per_epoch"] == pytest.approx((8.5 + 16.5) / 2 / 2)
    assert row["nfe_backward"] == pytest.approx(6.0)
    assert row["test_accuracy"] == pytest.approx(0.92), "after the last epoch, not the best"
    assert row["train_accuracy"] == pytest.approx(0.82)
    assert row["peak_memory_bytes"] is None
    assert row["published_seconds_per_epoch"] == PUBLISHED["rk4:adjoint"].seconds


def test_a_single_training_has_no_interval(compare):
    (row,) = load_compared(compare([("euler:adjoint", 0, 1.0, (0.5, 0.6))])).to_records()
    assert row["seconds_per_epoch_low"] is None
    assert row["test_accuracy_high"] is None
    json.dumps(row, allow_nan=False)


def test_the_expected_order(compare):
    costs = dict(zip(EXPECTED, (1.0, 2.0, 5.0, 7.5), strict=True))
    words = in_words(compare(classic(**costs)))
    assert (
        "Measured, in seconds of training per epoch: euler:adjoint 1 < rk4:adjoint 2 < "
        "dopri5:backprop 5 < dopri5:adjoint 7.5. The expected order holds."
    ) in words
    assert (
        "dopri5:adjoint takes 7.5 times as long as one of euler:adjoint (published: 6.8)" in words
    )


@pytest.mark.parametrize("adjoint", [4.0, 5.0])
def test_an_order_that_does_not_hold(compare, adjoint):
    """A tie is no order either."""
    costs = dict(zip(EXPECTED, (1.0, 2.0, 5.0, adjoint), strict=True))
    words = in_words(compare(classic(**costs)))
    assert "order does not hold: dopri5:adjoint takes " in words
    assert "than dopri5:backprop" in words
    assert "order holds" not in words


def test_the_order_is_told_by_seed(compare):
    costs = {0: (1.0, 2.0), 1: (3.0, 2.5), 2: (1.0, 4.0)}
    run = compare(
        [
            (case, seed, costs[seed][place], (0.5, 0.6))
            for seed in costs
            for place, case in enumerate(EXPECTED[:2])
        ],
        seeds=3,
    )
    assert "The expected order holds (in 2 of 3 seeds)." in in_words(run)


def test_cases_without_an_expectation_have_no_order(compare):
    words = in_words(compare([("resnet", 0, 1.0, (0.5, 0.6)), ("tsit5:adjoint", 0, 2.0, (0, 0.6))]))
    assert "order" not in words
    assert "published" not in words


def test_what_counting_evaluations_hides(compare):
    costs = {"nfe_forward": 26.0, "nfe_backward": 0.0, "vjp_backward": 24.0}
    again = costs | {"nfe_backward": 20.0, "vjp_backward": 20.0}
    words = in_words(
        compare(
            [
                ("dopri5:backprop", 0, 2.0, (0.5, 0.6), costs),
                ("dopri5:adjoint", 0, 3.0, (0.5, 0.6), again),
            ]
        )
    )
    assert "differentiates 24 of them there, which its NFE-B of 0 hides" in words
    assert "dopri5:adjoint evaluates 20 anew, differentiates 20 and takes 1.50 times" in words


@pytest.mark.parametrize(
    ("test_images", "said"),
    [(100, "no more than what 100 test images can tell apart"), (10_000, "one seed does not say")],
)
def test_accuracies_of_one_seed(compare, test_images, said):
    trainings = [("resnet", 0, 1.0, (0.5, 0.90)), ("rk4:backprop", 0, 1.0, (0.5, 0.93))]
    words = in_words(compare(trainings, test_images=test_images))
    assert "between 90.00% (resnet) and 93.00% (rk4:backprop)" in words
    assert said in words


@pytest.mark.parametrize(("noise", "said"), [(0.001, "are apart"), (0.1, "overlap")])
def test_accuracies_of_several_seeds(compare, noise, said):
    run = compare(
        [
            (case, seed, 1.0, (0.5, middle + noise * seed))
            for seed in (0, 1)
            for case, middle in (("resnet", 0.6), ("rk4:backprop", 0.8))
        ],
        seeds=2,
    )
    assert f"their 95% intervals over seeds {said}" in in_words(run)


def test_trainings_that_broke_down_and_those_to_come(compare):
    run = compare(
        [("dopri5:adjoint", 0, 1.0, "diverged"), ("rk4:adjoint", 0, 1.0, (0.5, 0.6))], seeds=2
    )
    compared = load_compared(run)
    words = compared_words.paragraph(compared)
    assert "1 of 1 training of dopri5:adjoint ended early: too stiff." in words
    assert "2 trainings are to be done." in words
    assert [case.name for case in compared.measured] == ["rk4:adjoint"]
    headings, (broken, _) = table(compared)
    assert broken[:4] == ["dopri5:adjoint", "-", "-", "-"]
    assert len(broken) == len(headings)


def test_published_figures_are_of_mnist_alone(compare):
    run = compare(classic(), dataset="digits")
    assert "published" not in in_words(run)
    assert not any("published" in heading for heading in table(load_compared(run))[0])


def test_a_clock_that_was_disturbed_is_marked(compare):
    starved = {"cpu_seconds": 0.1}
    run = compare([("rk4:adjoint", 0, 1.0, (0.5, 0.6), starved)])
    assert "clocks of 1 training look disturbed" in compared_words.notes(load_compared(run))[-1]


def test_memory_of_a_gpu_has_a_column(compare):
    run = compare([("rk4:adjoint", 0, 1.0, (0.5, 0.6), {"peak_memory_bytes": 3 * 2**20})])
    headings, (row,) = table(load_compared(run))
    assert row[headings.index("peak memory")] == "3 MiB"


def test_the_curves_have_a_band_of_all_seeds(compare):
    run = compare(
        [("rk4:adjoint", 0, 1.0, (0.5, 0.7)), ("rk4:adjoint", 1, 1.0, (0.6, 0.9))], seeds=2
    )
    (lines,) = compared_data(run, rank(run)).cases
    assert lines.test.epochs.tolist() == [1, 2]
    assert lines.test.mean == pytest.approx([0.55, 0.8])
    assert (lines.test.low.tolist(), lines.test.high.tolist()) == ([0.5, 0.7], [0.6, 0.9])
    assert lines.train.mean == pytest.approx([0.45, 0.7])
    assert draw(run, rank(run), "comparison").title == (
        "Accuracy over epochs: 1 case on mnist, mean of 2 seeds"
    )


def test_the_report_has_its_files(compare, monkeypatch):
    monkeypatch.setattr("analysis.report.pictures", lambda run, ranking: [])
    run = compare(classic())
    report = write_report(run.folder).parent
    page = (report / "comparison.md").read_text()
    assert in_words(run) in page
    website = html.unescape((report / "index.html").read_text())
    assert in_words(run) in website
    assert '<td class="n">26.2/0</td>' in website
    assert "| 33.06 | 26.2/0 |" in page
    assert "torch 2.15.0" in page
    widths = {line.count("|") for line in page.splitlines() if line.startswith("|")}
    assert len(widths) == 1
    rows = json.loads((report / "comparison.json").read_text())
    assert [row["case"] for row in rows] == list(EXPECTED)
    columns = (report / "comparison.csv").read_text().splitlines()[0].split(",")
    assert columns == list(rows[0])
    section = FORMAT.partition("## A comparison")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == columns


def test_a_search_is_no_comparison(by_hand):
    run = load_run(by_hand)
    assert load_compared(run) is None
    assert not list(write_report(by_hand).parent.glob("comparison.*"))
    assert compared_data(run, rank(run)) is None


def test_lines_of_an_older_version_have_no_test_accuracy(by_hand):
    assert math.isnan(load_run(by_hand).lines["test_accuracy"].iloc[0])
