"""A confirmation written by hand: every figure of it worked out by hand, and told in words."""

import html
import json
import math
import shutil

import numpy as np
import pytest

from analysis.load import load_run
from analysis.load_confirmed import load_confirmed
from analysis.page import confirmed_words
from analysis.plots import confirmed as plots
from analysis.plots import style
from analysis.rank import rank
from analysis.report import write_report

# at the floor of 0.85: (0.9 - 0.1) / 2 = 0.4 per second
FAST = [(1.0, 0.6), (2.0, 0.9)]
SLOW = [(1.0, 0.5), (4.0, 0.9)]
NEVER = [(1.0, 0.5), (4.0, 0.6)]


@pytest.fixture
def searched(make_run):
    """A search: 0002 was lucky (0.8 per second), 0001 is the default, 0003 is slow."""
    run = make_run()
    run.trial("0001", [(2.0, 0.9)])
    run.trial("0002", [(1.0, 0.9)], params={"solver.method": "euler"})
    run.trial("0003", [(1.0, 0.5), (4.0, 0.9)])
    return run


def load(run):
    loaded = load_run(run.folder)
    return load_confirmed(loaded, rank(loaded))


def by_id(confirmed):
    return {one.trial_id: one for one in confirmed.candidates}


def test_figures_worked_out_by_hand(searched):
    searched.confirm(
        [
            ("0002", [(1.0, 0.5), (2.0, 0.9)], {"test": 0.90}),
            ("0001", FAST, {"test": 0.91, "own": 0.9, "tight": 0.89}),
            ("0002", [(2.0, 0.5), (8.0, 0.9)], {"test": 0.94, "cold": None}),
            ("0001", FAST, {"test": 0.93, "own": 0.9, "tight": 0.88}),
        ]
    )
    confirmed = load(searched)
    assert (confirmed.floor, confirmed.unfinished) == (pytest.approx(0.85), 0)
    lucky, default = by_id(confirmed)["0002"], by_id(confirmed)["0001"]
    # t(0.975, 1) = 12.706; of two values the standard error is half their distance
    assert lucky.test.mean == pytest.approx(0.92)
    assert lucky.test.interval() == pytest.approx(
        (0.92 - 12.706 * 0.02, 0.92 + 12.706 * 0.02), 1e-3
    )
    # seconds 2 and 8: geometric mean 4; rates 0.4 and 0.1: geometric mean 0.2
    assert math.exp(lucky.log_seconds.mean) == pytest.approx(4.0)
    assert math.exp(lucky.log_value) == pytest.approx(0.2)
    assert math.exp(default.log_value) == pytest.approx(0.4)
    assert [one.trial_id for one in confirmed.candidates] == ["0001", "0002"], "re-ranked"
    assert lucky.search_rank == 1
    assert lucky.search_rate == pytest.approx(0.8)
    assert lucky.optimism == pytest.approx(3.0), "four times what is true"
    assert (lucky.cold_seconds, default.cold_seconds) == (20.0, 20.0), "of those that have one"
    assert default.ode_gap == pytest.approx(0.015)
    assert not default.discrete
    assert default.log_seconds.interval() == pytest.approx((math.log(2), math.log(2)))


def test_the_bias_is_told_up_to_the_epoch_that_the_trial_had_reached(searched):
    # the search's trial was stopped after an epoch; the retrained go on
    searched.trial("0004", [(1.0, 0.86)])
    searched.confirm(
        [("0004", [(1.0, 0.80), (2.0, 0.95)], {}), ("0004", [(1.0, 0.84), (2.0, 0.99)], {})]
    )
    assert by_id(load(searched))["0004"].flattered == pytest.approx(0.86 - 0.82)


def test_a_winner_that_does_not_beat_the_default_has_failed(searched):
    seeds = [("0002", SLOW, {}), ("0001", FAST, {})] * 3
    searched.confirm(seeds)
    confirmed = load(searched)
    lucky = by_id(confirmed)["0002"]
    assert confirmed.verdict(lucky) == "failed: does not beat the default"
    assert "The search has failed: no winner of it beats the default." in confirmed_words.answer(
        confirmed
    )
    assert (
        "Trial 0002 has failed: it does not beat the default"
        in (confirmed_words.failures(confirmed)[0])
    )


def test_what_the_search_thought_a_training_takes_alone_is_checked(priced, make_run):
    """0001 took 4 s beside others, 2 alone by the search's estimate, and here 2.5 alone."""
    run = make_run("other")
    shutil.rmtree(run.folder)
    run.folder = priced
    run.confirm(
        [
            ("0001", [(1.0, 0.5), (2.0, 0.9), (9.0, 0.9)], {}), ("0001", [(3.0, 0.9)], {}),
            ("0001", [(2.0, 0.5), (3.0, 0.9)], {}), ("0002", FAST, {}),
        ]
    )  # fmt: skip
    confirmed = load(run)
    one, other = (by_id(confirmed)[name] for name in ("0001", "0002"))
    # at the second epoch: 2 s and 3 s; the training of one epoch did not come so far
    assert one.isolated_off == pytest.approx(2.0 / 2.5 - 1)
    assert math.isnan(other.isolated_off), "its last line has no isolated seconds"
    assert "was off by -20.0% (0001)." in " ".join(confirmed_words.notes(confirmed))
    assert json.loads(json.dumps(confirmed.to_records(), allow_nan=False))


def test_nothing_is_said_of_sharing_where_nothing_was_estimated(searched):
    searched.confirm([("0002", FAST, {})])
    assert not any("shared its device" in note for note in confirmed_words.notes(load(searched)))


def test_a_winner_that_beats_it_surely_and_one_that_only_may(searched):
    near = [[(1.0, 0.6), (2.0 + 0.1 * n, 0.9)] for n in (0, 1, 2)]
    far = [[(0.5, 0.9)], [(0.51, 0.9)], [(0.52, 0.9)]]
    slower = [[(1.0, 0.6), (2.0 + 0.15 * n, 0.9)] for n in (0, 1, 2)]
    seeds = [
        (name, curve, {})
        for name, curves in {"0001": slower, "0002": far, "0003": near}.items()
        for curve in curves
    ]
    searched.confirm(seeds)
    confirmed = load(searched)
    verdicts = {name: confirmed.verdict(one) for name, one in by_id(confirmed).items()}
    assert verdicts == {
        "0002": "beats the default",
        "0003": "ahead of the default, but not surely",
        "0001": "is the default",
    }
    assert by_id(confirmed)["0002"].probability_first > 0.99
    assert sum(one.probability_first for one in confirmed.candidates) == pytest.approx(1)
    assert "It beats the default configuration (over 99% sure)." in confirmed_words.answer(
        confirmed
    )


def test_seeds_that_miss_the_floor_or_break_down(searched):
    searched.confirm(
        [
            ("0002", FAST, {}), ("0002", NEVER, {}), ("0002", FAST, "diverged"),
            ("0001", NEVER, {}), ("0001", NEVER, {}), ("0001", NEVER, {}),
        ]
    )  # fmt: skip
    confirmed = load(searched)
    some, never = confirmed.candidates
    # what broke down would not be used, though it had reached the floor before
    assert (some.trial_id, some.reached, len(some.outcomes)) == ("0002", 1, 3)
    assert math.exp(some.log_value) == pytest.approx(0.4 / 3)
    assert some.probability_beats_default == 1.0
    assert never.log_value == -math.inf
    assert "Only 1 of its 3 trainings reached it." in confirmed_words.answer(confirmed)
    rows = confirmed.to_records()
    assert (rows[1]["place"], rows[1]["accuracy_per_second"]) == (None, None)
    json.dumps(rows, allow_nan=False)


def test_nothing_that_reaches_the_floor(searched):
    searched.confirm([("0002", NEVER, {}), ("0001", NEVER, {})])
    assert "is not confirmed" in confirmed_words.answer(load(searched))


@pytest.mark.parametrize(
    ("tight", "discrete"), [(0.88, False), (0.879, True), (None, True), (0.95, False)]
)
def test_a_model_that_falls_apart_when_solved_tightly_is_discrete(searched, tight, discrete):
    searched.confirm([("0001", FAST, {"own": 0.90, "tight": tight})])
    confirmed = load(searched)
    assert confirmed.candidates[0].discrete is discrete
    assert bool(confirmed_words.discrete(confirmed)) is discrete


def test_what_is_not_there_yet(searched):
    assert load(searched) is None
    folder = searched.confirm([("0002", FAST, None)], state="running")
    assert load(searched) is None, "nothing has ended"
    shutil.rmtree(folder)
    searched.confirm(
        [("0002", FAST, {}), ("0001", FAST, "interrupted")], state="interrupted", asked=6
    )
    confirmed = load(searched)
    assert confirmed.unfinished == 5
    assert confirmed.verdict(confirmed.candidates[0]).startswith("not compared")
    assert "5 trainings of the confirmation are to be done." in confirmed_words.answer(confirmed)
    assert math.isnan(confirmed.candidates[0].probability_first), "one training has no spread"


def test_the_clock_and_the_floor_of_the_ranking_count(searched):
    searched.confirm([("0001", FAST, {}), ("0001", SLOW, {})])
    run = load_run(searched.folder)
    low = load_confirmed(run, rank(run, floor=0.5))
    assert math.exp(low.candidates[0].log_seconds.mean) == pytest.approx(1.0)
    wall = load_confirmed(run, rank(run, clock="wall"))
    # wall seconds are 2 s + 1: 5 and 9
    assert math.exp(wall.candidates[0].log_seconds.mean) == pytest.approx(math.sqrt(45))


def test_a_machine_that_was_shared_after_all_is_told(searched):
    folder = searched.confirm([("0001", FAST, {}), ("0001", FAST, {})])
    # by hand, half of the wall-clock seconds are CPU seconds; one is made whole
    lines = folder / "trials" / "0001" / "reports.jsonl"
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    whole = [json.dumps(row | {"cpu_seconds": row["wall_seconds"]}) for row in rows]
    lines.write_text("\n".join(whole) + "\n")
    confirmed = load(searched)
    assert confirmed.disturbed == 1
    assert "The clocks of 1 training look disturbed" in confirmed_words.notes(confirmed)[-1]


def test_rates_of_other_devices_are_not_compared(searched):
    folder = searched.confirm([("0001", FAST, {}), ("0001", FAST, {})])
    for reports in folder.glob("trials/*/reports.jsonl"):
        reports.write_text(reports.read_text().replace('"cpu"', '"NVIDIA A100"'))
    (one,) = load(searched).candidates
    assert math.isnan(one.optimism)
    assert one.flattered == pytest.approx(0.9 - 0.6), "accuracies are"


def test_the_report_shows_what_is_confirmed(searched, monkeypatch):
    page = write_report(searched.folder)
    assert f"tune-ode confirm {searched.folder}" in html.unescape(page.read_text())
    assert not (page.parent / "confirmed.json").exists()
    searched.confirm([("0002", SLOW, {"tight": 0.5}), ("0001", FAST, {})] * 2)
    text = html.unescape(write_report(searched.folder).read_text())
    assert "Trained again, alone and on 2 fresh seeds, trial 0001, the default" in text
    assert "failed: does not beat the default" in text
    assert "Discrete: 0002." in text
    assert "tune-ode confirm" not in text, "it has been done"
    assert 'id="confirmed"' in text
    assert 'id="solved-otherwise"' in text
    rows = json.loads((page.parent / "confirmed.json").read_text())
    assert [row["trial_id"] for row in rows] == ["0001", "0002"]
    assert {"confirmed.png", "solved-otherwise.png"} <= {
        file.name for file in page.parent.iterdir()
    }


def test_the_plots_show_intervals_and_ways_to_solve(searched):
    searched.confirm([("0002", SLOW, {"cheaper": 0.95}), ("0001", FAST, {"cheaper": None})] * 2)
    run = load_run(searched.folder)
    data = plots.confirmed_data(run, rank(run))
    assert [row.is_default for row in data.rows] == [True, False]
    assert data.rows[1].searched_rate == pytest.approx(0.8)
    assert data.rows[1].rate == pytest.approx((0.2, 0.2, 0.2))
    figure = style.blank()
    plots.plot_confirmed(data, figure)
    left, right = figure.axes
    assert left.get_xscale() == "log"
    assert "1/s" in left.get_xlabel()
    assert "share" in right.get_xlabel()

    solved = plots.solved_data(run, rank(run))
    default, lucky = solved.lines
    assert default.evaluations.tolist() == [4.0, 40.0], "a solver that failed once is left out"
    assert lucky.accuracy.tolist() == pytest.approx([0.95, 0.9, 0.9])
    assert lucky.own == (4.0, 0.9)
    _, ax = style.figure()
    plots.plot_solved(solved, ax)
    steps = [line.get_ydata().tolist() for line in ax.lines]
    assert np.allclose(steps[1], [0.95, 0.95, 0.95]), "what is dearer and worse is passed over"


def test_a_run_that_is_not_confirmed_has_no_such_plots(searched):
    run = load_run(searched.folder)
    assert plots.confirmed_data(run, rank(run)) is None
    assert plots.solved_data(run, rank(run)) is None
