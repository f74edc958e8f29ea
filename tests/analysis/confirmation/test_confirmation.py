"""Figures and text of a confirmation, from reports that can be checked by hand."""

import html
import json
import math
import shutil

import numpy as np
import pytest

from analysis.confirmation import plots
from analysis.confirmation.load import load_confirmation
from analysis.confirmation.section import confirmation_section
from analysis.plots import style
from analysis.rate import accuracy_per_second
from analysis.report import write_report
from tests.analysis.conftest import load_ranked

FAST = [(1.0, 0.6), (2.0, 0.9)]
SLOW = [(1.0, 0.5), (4.0, 0.9)]
NEVER = [(1.0, 0.5), (4.0, 0.6)]


def rate(curve):
    return accuracy_per_second(*np.array(curve).T, chance=0.1, floor=0.85).value


@pytest.fixture
def searched(make_run):
    """A search: 0002 was lucky (0.8 per second), 0001 is the default, 0003 is slow."""
    run = make_run()
    run.trial("0001", [(2.0, 0.9)])
    run.trial("0002", [(1.0, 0.9)], params={"solver.method": "euler"})
    run.trial("0003", [(1.0, 0.5), (4.0, 0.9)])
    return run


def load(run):
    return load_confirmation(*load_ranked(run.folder))


def section(run):
    return confirmation_section(*load_ranked(run.folder))


def by_id(confirmation):
    return {one.trial_id: one for one in confirmation.candidates}


def test_figures_are_means_over_seeds_with_intervals(searched):
    searched.confirm(
        [
            ("0002", [(1.0, 0.5), (2.0, 0.9)], {"test": 0.90}),
            ("0001", FAST, {"test": 0.91, "own": 0.9, "reference": 0.89}),
            ("0002", [(2.0, 0.5), (8.0, 0.9)], {"test": 0.94, "cold": None}),
            ("0001", FAST, {"test": 0.93, "own": 0.9, "reference": 0.88}),
        ]
    )
    confirmation = load(searched)
    assert (confirmation.floor, confirmation.unfinished) == (pytest.approx(0.85), 0)
    lucky, default = by_id(confirmation)["0002"], by_id(confirmation)["0001"]
    # t(0.975, 1) = 12.706; of two values the standard error is half their distance
    assert lucky.test.mean == pytest.approx(0.92)
    assert lucky.test.interval() == pytest.approx(
        (0.92 - 12.706 * 0.02, 0.92 + 12.706 * 0.02), 1e-3
    )
    # seconds 2 and 8: geometric mean 4
    assert math.exp(lucky.log_seconds.mean) == pytest.approx(4.0)
    rates = rate([(1.0, 0.5), (2.0, 0.9)]), rate([(2.0, 0.5), (8.0, 0.9)])
    assert math.exp(lucky.log_value) == pytest.approx(math.sqrt(rates[0] * rates[1]))
    assert math.exp(default.log_value) == pytest.approx(rate(FAST))
    assert [one.trial_id for one in confirmation.candidates] == ["0001", "0002"], "re-ranked"
    assert lucky.search_rank == 1
    assert lucky.search_rate == pytest.approx(0.8, rel=0.05)
    assert lucky.rate_optimism == pytest.approx(lucky.search_rate / math.exp(lucky.log_value) - 1)
    assert (lucky.cold_seconds, default.cold_seconds) == (20.0, 20.0), "mean of those that have one"
    assert default.ode_gap == pytest.approx(0.015)
    assert not default.discrete
    assert default.log_seconds.interval() == pytest.approx((math.log(2), math.log(2)))


def test_optimism_compares_the_same_number_of_epochs(searched):
    # the trial of the search was stopped after one epoch, the retrained ones continue
    searched.trial("0004", [(1.0, 0.86)])
    searched.confirm(
        [("0004", [(1.0, 0.80), (2.0, 0.95)], {}), ("0004", [(1.0, 0.84), (2.0, 0.99)], {})]
    )
    assert by_id(load(searched))["0004"].optimism == pytest.approx(0.86 - 0.82)


def test_a_winner_that_does_not_beat_the_default_failed(searched):
    seeds = [("0002", SLOW, {}), ("0001", FAST, {})] * 3
    searched.confirm(seeds)
    confirmation = load(searched)
    lucky = by_id(confirmation)["0002"]
    assert confirmation.verdict(lucky) == "failed: does not beat the default"
    shown = section(searched)
    assert "The search failed: none of its trials beats the default configuration." in shown.answer
    assert "Trial 0002 failed: it does not beat the default" in shown.warnings[0]


def test_isolated_seconds_of_the_search_are_compared_with_measured_ones(contended, make_run):
    """0001 took 4 s with others, an estimated 2 s in isolation, and 2.5 s when retrained."""
    run = make_run("other")
    shutil.rmtree(run.folder)
    run.folder = contended
    run.confirm(
        [
            ("0001", [(1.0, 0.5), (2.0, 0.9), (9.0, 0.9)], {}), ("0001", [(3.0, 0.9)], {}),
            ("0001", [(2.0, 0.5), (3.0, 0.9)], {}), ("0002", FAST, {}),
        ]
    )  # fmt: skip
    confirmation = load(run)
    one, other = (by_id(confirmation)[name] for name in ("0001", "0002"))
    # at the second epoch: 2 s and 3 s; the training with one epoch did not reach it
    assert one.isolated_bias == pytest.approx(2.0 / 2.5 - 1)
    assert math.isnan(other.isolated_bias), "its last report has no isolated seconds"
    assert "those measured here by -20.0% (0001)." in " ".join(section(run).notes)
    assert json.loads(json.dumps(confirmation.to_records(), allow_nan=False))


def test_a_search_without_isolated_seconds_has_no_note_on_them(searched):
    searched.confirm([("0002", FAST, {})])
    assert not any("shared a device" in note for note in section(searched).notes)


def test_a_significant_and_an_insignificant_advantage_are_distinguished(searched):
    near = [[(1.0, 0.6), (2.0 + 0.1 * n, 0.9)] for n in (0, 1, 2)]
    far = [[(0.5, 0.9)], [(0.51, 0.9)], [(0.52, 0.9)]]
    slower = [[(1.0, 0.6), (2.0 + 0.15 * n, 0.9)] for n in (0, 1, 2)]
    seeds = [
        (name, curve, {})
        for name, curves in {"0001": slower, "0002": far, "0003": near}.items()
        for curve in curves
    ]
    searched.confirm(seeds)
    confirmation = load(searched)
    verdicts = {name: confirmation.verdict(one) for name, one in by_id(confirmation).items()}
    assert verdicts == {
        "0002": "beats the default",
        "0003": "ahead of the default, not significantly",
        "0001": "is the default",
    }
    assert by_id(confirmation)["0002"].prob_best > 0.99
    assert sum(one.prob_best for one in confirmation.candidates) == pytest.approx(1)
    assert "It beats the default configuration (probability over 99%)." in section(searched).answer


def test_seeds_that_miss_the_floor_or_fail_count_as_zero(searched):
    searched.confirm(
        [
            ("0002", FAST, {}), ("0002", NEVER, {}), ("0002", FAST, "diverged"),
            ("0001", NEVER, {}), ("0001", NEVER, {}), ("0001", NEVER, {}),
        ]
    )  # fmt: skip
    confirmation = load(searched)
    some, never = confirmation.candidates
    # a training that failed counts as zero, although it had reached the floor before
    assert (some.trial_id, some.reached, len(some.outcomes)) == ("0002", 1, 3)
    assert math.exp(some.log_value) == pytest.approx(rate(FAST) / 3)
    assert some.prob_beats_default == 1.0
    assert never.log_value == -math.inf
    assert "Only 1 of its 3 trainings reached it." in section(searched).answer
    rows = confirmation.to_records()
    assert (rows[1]["rank"], rows[1]["accuracy_per_second"]) == (None, None)
    json.dumps(rows, allow_nan=False)


def test_no_candidate_reaches_the_floor(searched):
    searched.confirm([("0002", NEVER, {}), ("0001", NEVER, {})])
    assert "is not confirmed" in section(searched).answer


@pytest.mark.parametrize(
    ("reference", "discrete"), [(0.88, False), (0.879, True), (None, True), (0.95, False)]
)
def test_a_model_that_fails_at_a_tight_tolerance_is_discrete(searched, reference, discrete):
    searched.confirm([("0001", FAST, {"own": 0.90, "reference": reference})])
    confirmation = load(searched)
    assert confirmation.candidates[0].discrete is discrete
    assert any("Discrete: 0001" in one for one in section(searched).warnings) is discrete


def test_a_confirmation_that_has_not_finished_counts_what_remains(searched):
    assert section(searched) is None
    folder = searched.confirm([("0002", FAST, None)], state="running")
    assert load(searched) is None, "nothing has ended"
    shutil.rmtree(folder)
    searched.confirm(
        [("0002", FAST, {}), ("0001", FAST, "interrupted")], state="interrupted", asked=6
    )
    confirmation = load(searched)
    assert confirmation.unfinished == 5
    assert confirmation.verdict(confirmation.candidates[0]).startswith("not compared")
    assert "5 trainings of the confirmation remain." in section(searched).answer
    assert math.isnan(confirmation.candidates[0].prob_best), "one training has no spread"


def test_the_clock_and_the_floor_of_the_ranking_apply(searched):
    searched.confirm([("0001", FAST, {}), ("0001", SLOW, {})])
    low = load_confirmation(*load_ranked(searched.folder, floor=0.5))
    assert math.exp(low.candidates[0].log_seconds.mean) == pytest.approx(1.0)
    wall = load_confirmation(*load_ranked(searched.folder, clock="wall"))
    # wall seconds are 2 s + 1: 5 and 9
    assert math.exp(wall.candidates[0].log_seconds.mean) == pytest.approx(math.sqrt(45))


def test_a_disturbed_clock_is_noted(searched):
    folder = searched.confirm([("0001", FAST, {}), ("0001", FAST, {})])
    # half of the wall-clock seconds are CPU seconds, except in one training
    lines = folder / "trials" / "0001" / "reports.jsonl"
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    computing = [json.dumps(row | {"cpu_seconds": row["wall_seconds"]}) for row in rows]
    lines.write_text("\n".join(computing) + "\n")
    confirmation = load(searched)
    assert confirmation.disturbed == 1
    assert "The clocks of 1 training look disturbed" in section(searched).notes[-1]


def test_rates_of_other_devices_are_not_compared(searched):
    folder = searched.confirm([("0001", FAST, {}), ("0001", FAST, {})])
    for reports in folder.glob("trials/*/reports.jsonl"):
        reports.write_text(reports.read_text().replace('"cpu"', '"NVIDIA A100"'))
    (one,) = load(searched).candidates
    assert math.isnan(one.rate_optimism)
    assert one.optimism == pytest.approx(0.9 - 0.6), "accuracies are comparable"


def report(run):
    return write_report(*load_ranked(run.folder))


def test_the_report_shows_the_confirmation(searched):
    page = report(searched)
    assert f"tune-ode confirm {searched.folder}" in html.unescape(page.read_text())
    assert not (page.parent / "confirmed.json").exists()
    searched.confirm([("0002", SLOW, {"reference": 0.5}), ("0001", FAST, {})] * 2)
    text = html.unescape(report(searched).read_text())
    assert "Retrained in isolation on 2 fresh seeds, trial 0001, the default" in text
    assert "failed: does not beat the default" in text
    assert "Discrete: 0002." in text
    assert "tune-ode confirm" not in text, "already done"
    assert 'id="confirmed"' in text
    assert 'id="solved-otherwise"' in text
    rows = json.loads((page.parent / "confirmed.json").read_text())
    assert [row["trial_id"] for row in rows] == ["0001", "0002"]
    assert {"confirmed.png", "solved-otherwise.png"} <= {
        file.name for file in page.parent.iterdir()
    }


def test_plots_show_intervals_and_other_solvers(searched):
    searched.confirm([("0002", SLOW, {"cheaper": 0.95}), ("0001", FAST, {"cheaper": None})] * 2)
    confirmation = load(searched)
    figure = style.canvas()
    plots.plot_intervals(list(confirmation.candidates), figure)
    left, right = figure.axes
    assert [label.get_text()[:4] for label in left.get_yticklabels()] == ["0001", "0002"]
    assert left.lines[0].get_xdata().tolist() == pytest.approx([rate(FAST), rate(SLOW)])
    assert left.collections[-1].get_offsets()[:, 0].tolist() == pytest.approx([0.4, 0.8], rel=0.05)
    assert left.get_xscale() == "log"
    assert "1/s" in left.get_xlabel()
    assert "share" in right.get_xlabel()
    bars = left.collections[0].get_segments()
    for candidate, ((low, _), (high, _)) in zip(confirmation.candidates, bars, strict=True):
        expected = candidate.to_dict()
        bounds = expected["accuracy_per_second_low"], expected["accuracy_per_second_high"]
        assert (low, high) == pytest.approx(bounds)

    _, ax = style.figure()
    plots.plot_solved(list(confirmation.candidates), ax)
    default, _, lucky, own = (points.get_offsets().tolist() for points in ax.collections)
    assert [cost for cost, _ in default] == [4.0, 40.0], "a solver that failed once is omitted"
    assert [accuracy for _, accuracy in lucky] == pytest.approx([0.95, 0.9, 0.9])
    assert own == [[4.0, 0.9]]
    assert "evaluations" in ax.get_xlabel()
    assert "share" in ax.get_ylabel()
    assert [plot.render().title for plot in section(searched).plots] == [
        "Confirmed on fresh seeds: 2 configurations",
        "Trained models under cheaper and finer solvers",
    ]
    steps = [line.get_ydata().tolist() for line in ax.lines]
    assert np.allclose(steps[1], [0.95, 0.95, 0.95]), "more expensive and worse solvers are skipped"
