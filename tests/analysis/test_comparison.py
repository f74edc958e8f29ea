"""Figures, text and files of a comparison, from reports that can be checked by hand."""

import html
import json
import math
import re
from pathlib import Path

import pytest

from analysis.comparison.data import EXPECTED, PUBLISHED
from analysis.comparison.load import load_comparison
from analysis.comparison.section import comparison_section
from analysis.load import load_run
from analysis.plots.plot import title
from analysis.ranking import rank
from analysis.report import write_report

FORMAT = (Path(__file__).parents[2] / "docs" / "reference" / "results-format.md").read_text()


@pytest.fixture
def compare(make_run):
    """Return a function that writes a comparison with `RunWriter.compare` and loads it."""

    def compare(trainings, **options):
        run = make_run(trial_seconds=None)
        run.compare(trainings, **options)
        return load_run(run.folder)

    return compare


def classic(**seconds):
    """The four published cases with the given seconds per epoch and equal accuracy."""
    costs = dict.fromkeys(EXPECTED, 1.0) | seconds
    return [(case, 0, costs[case], (0.8, 0.9)) for case in EXPECTED]


def answer(run):
    return comparison_section(run).answer


def table(run):
    """Headings, and cells by row, of the section's table."""
    found = comparison_section(run).table
    return (
        [column.heading for column in found.columns],
        [[cell.inline() for cell in row] for row in found.rows],
    )


def test_figures_are_means_over_seeds_with_intervals(compare):
    run = compare(
        [
            ("rk4:adjoint", 0, 2.0, (0.5, 0.90), {"nfe_backward": 4.0}),
            ("rk4:adjoint", 1, 4.0, (0.6, 0.94), {"nfe_backward": 8.0}),
        ],
        seeds=2,
    )
    (row,) = load_comparison(run).to_records()
    assert (row["case"], row["trainings"], row["completed"]) == ("rk4:adjoint", 2, 2)
    assert row["seconds_per_epoch"] == pytest.approx(3.0)
    # standard error 1, and Student's t of one degree of freedom
    assert row["seconds_per_epoch_high"] == pytest.approx(3.0 + 12.706, abs=1e-3)
    # wall seconds are 2 s + 1, of which 0.5 s warm-up, over two epochs
    assert row["wall_seconds_per_epoch"] == pytest.approx((8.5 + 16.5) / 2 / 2)
    assert row["nfe_backward"] == pytest.approx(6.0)
    assert row["test_accuracy"] == pytest.approx(0.92), "after the last epoch, not the best"
    assert row["train_accuracy"] == pytest.approx(0.82)
    assert row["peak_memory_bytes"] is None
    assert row["published_seconds_per_epoch"] == PUBLISHED["rk4:adjoint"].seconds


def test_a_single_training_has_no_interval(compare):
    (row,) = load_comparison(compare([("euler:adjoint", 0, 1.0, (0.5, 0.6))])).to_records()
    assert row["seconds_per_epoch_low"] is None
    assert row["test_accuracy_high"] is None
    json.dumps(row, allow_nan=False)


def test_the_measured_order_and_spread_are_compared_with_the_published(compare):
    costs = dict(zip(EXPECTED, (1.0, 2.0, 5.0, 7.5), strict=True))
    text = answer(compare(classic(**costs)))
    assert (
        "Measured, in training seconds per epoch: euler:adjoint 1 < rk4:adjoint 2 < "
        "dopri5:backprop 5 < dopri5:adjoint 7.5. The expected order holds."
    ) in text
    assert (
        "dopri5:adjoint takes 7.5 times as long as an epoch of euler:adjoint (published: 6.8)"
        in text
    )


@pytest.mark.parametrize("adjoint", [4.0, 5.0])
def test_an_unexpected_order_or_a_tie_does_not_hold(compare, adjoint):
    costs = dict(zip(EXPECTED, (1.0, 2.0, 5.0, adjoint), strict=True))
    text = answer(compare(classic(**costs)))
    assert "order does not hold: dopri5:adjoint takes " in text
    assert "than dopri5:backprop" in text
    assert "order holds" not in text


def test_the_seeds_in_which_the_order_holds_are_counted(compare):
    costs = {0: (1.0, 2.0), 1: (3.0, 2.5), 2: (1.0, 4.0)}
    run = compare(
        [
            (case, seed, costs[seed][place], (0.5, 0.6))
            for seed in costs
            for place, case in enumerate(EXPECTED[:2])
        ],
        seeds=3,
    )
    assert "The expected order holds (in 2 of 3 seeds)." in answer(run)


def test_unpublished_cases_have_no_expected_order(compare):
    text = answer(compare([("resnet", 0, 1.0, (0.5, 0.6)), ("tsit5:adjoint", 0, 2.0, (0, 0.6))]))
    assert "order" not in text
    assert "published" not in text


def test_the_backward_cost_of_backprop_is_reported_next_to_the_adjoint(compare):
    costs = {"nfe_forward": 26.0, "nfe_backward": 0.0, "vjp_backward": 24.0}
    again = costs | {"nfe_backward": 20.0, "vjp_backward": 20.0}
    text = answer(
        compare(
            [
                ("dopri5:backprop", 0, 2.0, (0.5, 0.6), costs),
                ("dopri5:adjoint", 0, 3.0, (0.5, 0.6), again),
            ]
        )
    )
    assert "differentiates 24 of them there, which its NFE-B of 0 does not count" in text
    assert "dopri5:adjoint repeats 20, differentiates 20 and takes 1.50 times as long" in text


@pytest.mark.parametrize(
    ("test_images", "verdict"),
    [(100, "within the resolution of 100 test images"), (10_000, "one seed does not show")],
)
def test_accuracies_of_one_seed_are_compared_by_test_images(compare, test_images, verdict):
    trainings = [("resnet", 0, 1.0, (0.5, 0.90)), ("rk4:backprop", 0, 1.0, (0.5, 0.93))]
    text = answer(compare(trainings, test_images=test_images))
    assert "between 90.00% (resnet) and 93.00% (rk4:backprop)" in text
    assert verdict in text


@pytest.mark.parametrize(("noise", "verdict"), [(0.001, "do not overlap"), (0.1, "overlap")])
def test_accuracies_of_several_seeds_are_compared_by_intervals(compare, noise, verdict):
    run = compare(
        [
            (case, seed, 1.0, (0.5, middle + noise * seed))
            for seed in (0, 1)
            for case, middle in (("resnet", 0.6), ("rk4:backprop", 0.8))
        ],
        seeds=2,
    )
    assert f"their 95% intervals over seeds {verdict}." in answer(run)


def test_failed_and_remaining_trainings_are_reported(compare):
    run = compare(
        [("dopri5:adjoint", 0, 1.0, "diverged"), ("rk4:adjoint", 0, 1.0, (0.5, 0.6))], seeds=2
    )
    text = answer(run)
    assert "1 of 1 training of dopri5:adjoint ended early: too stiff." in text
    assert "2 trainings remain." in text
    assert [case.name for case in load_comparison(run).measured] == ["rk4:adjoint"]
    headings, (broken, _) = table(run)
    assert broken[:4] == ["dopri5:adjoint", "-", "-", "-"]
    assert len(broken) == len(headings)


def test_published_figures_are_shown_for_mnist_only(compare):
    run = compare(classic(), dataset="digits")
    assert "published" not in answer(run)
    assert not any("published" in heading for heading in table(run)[0])


def test_a_disturbed_clock_is_noted(compare):
    starved = {"cpu_seconds": 0.1}
    run = compare([("rk4:adjoint", 0, 1.0, (0.5, 0.6), starved)])
    assert "clocks of 1 training look disturbed" in comparison_section(run).notes[-1]


def test_gpu_memory_has_a_column(compare):
    run = compare([("rk4:adjoint", 0, 1.0, (0.5, 0.6), {"peak_memory_bytes": 3 * 2**20})])
    headings, (row,) = table(run)
    assert row[headings.index("peak memory")] == "3 MiB"


def test_curves_have_a_band_over_all_seeds(compare):
    run = compare(
        [("rk4:adjoint", 0, 1.0, (0.5, 0.7)), ("rk4:adjoint", 1, 1.0, (0.6, 0.9))], seeds=2
    )
    (case,) = load_comparison(run).cases
    assert case.test_curve.epochs.tolist() == [1, 2]
    assert case.test_curve.middle == pytest.approx([0.55, 0.8])
    assert (case.test_curve.low.tolist(), case.test_curve.high.tolist()) == ([0.5, 0.7], [0.6, 0.9])
    assert case.train_curve.middle == pytest.approx([0.45, 0.7])
    (plot,) = comparison_section(run).plots
    figure = plot.draw()
    assert title(figure) == "Accuracy over epochs: 1 case on mnist, mean of 2 seeds"
    assert [ax.get_xlabel() for ax in figure.axes] == ["epoch", "epoch"]


@pytest.mark.usefixtures("no_pictures")
def test_the_report_exports_markdown_json_and_csv(compare):
    run = compare(classic())
    report = write_report(run, rank(run)).parent
    page = (report / "comparison.md").read_text()
    assert answer(run) in page
    website = html.unescape((report / "index.html").read_text())
    assert answer(run) in website
    assert '<td class="n">26.2/0</td>' in website
    assert "| 33.06 | 26.2/0 |" in page
    assert "torch 2.15.0" in page
    widths = {line.count("|") for line in page.splitlines() if line.startswith("|")}
    assert len(widths) == 1
    rows = json.loads((report / "comparison.json").read_text())
    assert [row["case"] for row in rows] == list(EXPECTED)
    columns = (report / "comparison.csv").read_text().splitlines()[0].split(",")
    assert columns == list(rows[0])
    section = FORMAT.partition("## Comparison")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == columns


@pytest.mark.usefixtures("no_pictures")
def test_a_search_has_no_comparison(by_hand):
    run = load_run(by_hand)
    assert comparison_section(run) is None
    assert not list(write_report(run, rank(run)).parent.glob("comparison.*"))


def test_reports_of_a_search_have_no_test_accuracy(by_hand):
    assert math.isnan(load_run(by_hand).reports["test_accuracy"].iloc[0])
