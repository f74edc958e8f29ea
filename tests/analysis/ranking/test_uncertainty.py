"""Shrinkage, intervals and ties of simulated searches with known rates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.load import load_run
from analysis.ranking import rank
from analysis.ranking.uncertainty import SEED_SPREAD, shrink, tied
from benchmarks.ranking_rule import NOW, RULES, Scenario, measure

rates = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30)


@given(rates)
@settings(deadline=None)
def test_shrinkage_keeps_the_order_and_intervals_hold_the_rate(measured):
    measured = np.sort(measured)
    shrunk, low, high = shrink(measured, np.full(len(measured), 0.1))
    assert (np.diff(np.log(shrunk)) >= -1e-9).all()
    assert (low < shrunk).all()
    assert (shrunk < high).all()
    assert measured[0] * 0.99 <= shrunk[0]
    assert shrunk[-1] <= measured[-1] * 1.01
    assert not tied(shrunk, low)[shrunk.argmax()]


def test_a_single_rate_stays_and_has_the_error_of_one_training():
    shrunk, low, high = shrink(np.array([2.0]), np.array([0.12]))
    assert shrunk == pytest.approx(2.0, rel=0.01)
    assert np.log(high / low) == pytest.approx(
        2 * 1.07 * 1.96 * np.hypot(0.12, SEED_SPREAD), rel=1e-3
    )
    assert [len(part) for part in shrink(np.empty(0), np.empty(0))] == [0, 0, 0]


def test_equal_trials_are_shrunk_together_and_tied_and_a_distant_one_is_not():
    draw = np.random.default_rng(0)
    measured = np.append(np.exp(0.19 * draw.standard_normal(50)), 0.1)
    shrunk, low, _ = shrink(measured, np.full(51, 0.1))
    assert shrunk[:50].max() < 1.1 < measured.max()
    ties = tied(shrunk, low)
    assert ties.sum() >= 48
    assert not ties[50]


@pytest.mark.parametrize("kind", ["same", "spread", "cluster"])
def test_planted_truth(kind):
    """The complete table is in benchmarks/results; 40 searches have a standard error of 0.03."""
    (row,) = measure(Scenario(kind), {NOW: RULES[NOW]}, 40)
    assert row["overstatement"] < 1.1
    assert row["coverage"] > 0.9
    assert row["best is first or tied"] > 0.9
    (row,) = measure(Scenario(kind, seeds=0.0), {NOW: RULES[NOW]}, 40)
    assert row["overstatement"] < 1.1


def test_the_ranking_shows_intervals_and_ties(make_run):
    run = make_run()
    for number, pace in enumerate((1.0, 1.05, 1.1, 20.0), start=1):
        instants = pace * np.array([0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0])
        run.trial(f"000{number}", list(zip(instants, np.linspace(0.5, 0.98, 7), strict=True)))
    run.trial("0005", [(1.0, 0.2)])
    run.change_manifest(validation_images=288)
    ranking = rank(load_run(run.folder))
    rows = ranking.to_records()
    assert [row["trial_id"] for row in rows] == ["0001", "0002", "0003", "0004", "0005"]
    assert [row["tied"] for row in rows] == [False, True, True, False, False]
    for row in rows[:4]:
        assert row["rate_low"] < row["accuracy_per_second"] < row["rate_high"]
    assert (rows[4]["rate_low"], rows[4]["rate_high"]) == (None, None)
    header = ranking.to_csv().splitlines()[0].split(",")
    assert {"rate_low", "rate_high", "tied"} <= set(header)
    narrow = rows[0]["rate_high"] / rows[0]["rate_low"]
    run.change_manifest(validation_images=50)
    row = rank(load_run(run.folder)).to_records()[0]
    assert row["rate_high"] / row["rate_low"] > narrow, "fewer images, wider intervals"


def test_a_sample_of_the_images_widens_the_interval_and_sets_no_floor(make_run):
    """Early reports use a sample, whose accuracy has a larger error and may be luckily high."""
    run = make_run()
    run.change_manifest(validation_images=1200)
    for trial_id, images in (("0001", 150), ("0002", 1200)):
        run.trial(trial_id, [])
        for epoch, seconds, accuracy in ((1, 0.5, 0.6), (2, 1.0, 0.9)):
            run.append(trial_id, epoch, seconds, accuracy, val_images=images)
        run.append(trial_id, 3, 4.0, 0.92, val_images=1200)
    run.append("0001", 4, 5.0, 0.99, val_images=150)
    ranking = rank(load_run(run.folder))
    rows = {row["trial_id"]: row for row in ranking.to_records()}
    assert ranking.floor == pytest.approx(0.87)
    assert rows["0001"]["best_accuracy"] == 0.92
    spread = {name: row["rate_high"] / row["rate_low"] for name, row in rows.items()}
    assert spread["0001"] > 1.1 * spread["0002"]
