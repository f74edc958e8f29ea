"""Ranking: values, order, ties and invariances."""

import json
import os
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.load import load_run
from analysis.ranking import rank
from analysis.ranking.metrics import (
    METRICS,
    default_budgets,
    default_targets,
    parse_target,
    parse_thresholds,
)
from analysis.ranking.points import CLOCKS
from analysis.ranking.uncertainty import shrink
from analysis.rate import accuracy_per_second
from analysis.statistics import wilson_interval
from tests.factories import make_contention
from tune_ode.errors import UsageError
from tune_ode.text import parse_duration

# Few distinct values, so that ties are common.
points = st.tuples(st.sampled_from([1.0, 2.0, 4.0, 8.0]), st.sampled_from([0.1, 0.3, 0.5, 0.9]))
ALL_METRICS = (*sorted(METRICS), "seconds@0.5", "accuracy@2s")
runs = st.dictionaries(
    st.sampled_from([f"{number:04d}" for number in range(1, 7)]),
    st.lists(points, max_size=4),
    min_size=1,
)


def rates_of(curves, floor):
    """Return the shrunk rates above 0 of curves by trial, on one device, with chance 0.1."""
    found = {
        trial: accuracy_per_second(*np.array(curve).T, chance=0.1, floor=floor)
        for trial, curve in curves.items()
        if curve
    }
    found = {trial: rate for trial, rate in found.items() if rate and rate.value > 0}
    values, errors = (np.array([getattr(rate, name) for rate in found.values()])
                      for name in ("value", "error"))  # fmt: skip
    return dict(zip(found, shrink(values, errors)[0], strict=True))


def test_ranking_computed_by_hand(by_hand):
    ranking = rank(load_run(by_hand))
    rows = {row["trial_id"]: row for row in ranking.to_records()}
    assert ranking.floor == pytest.approx(0.92 - 0.05)
    rates = rates_of(
        {
            "0001": [(1, 0.5), (2, 0.8), (4, 0.9)], "0002": [(1, 0.7), (3, 0.88)],
            "0003": [(1, 0.5), (2, 0.8), (4, 0.9)], "0008": [(1, 0.2), (8, 0.92)],
        },
        ranking.floor,
    )  # fmt: skip
    for trial, rate in rates.items():
        assert rows[trial]["accuracy_per_second"] == pytest.approx(rate)
    # the first report at or above the floor where the smoothed curve reaches it
    assert (rows["0001"]["seconds"], rows["0001"]["val_accuracy"]) == (4.0, 0.9)
    assert (rows["0002"]["seconds"], rows["0002"]["val_accuracy"]) == (3.0, 0.88)
    # ranked; then those below the floor by accuracy; then those without accuracy by id
    assert list(rows) == [
        "0002", "0001", "0003", "0008", "0009", "0004", "0005", "0006", "0007",
    ]  # fmt: skip
    assert [row["rank"] for row in rows.values()] == [1, 2, 3, 4, *[None] * 5]
    assert rows["0009"]["outcome"] == "running"
    assert rows["0009"]["val_accuracy"] == 0.6, "the truncated report is ignored"
    assert rows["0006"]["val_accuracy"] is None
    # nothing beats (1, 0.7), (2, 0.8), (3, 0.88), (4, 0.9), (8, 0.92)
    assert {i for i, row in rows.items() if row["pareto"]} == {"0001", "0002", "0003", "0008"}


def test_values_can_be_recomputed_from_the_files(by_hand):
    ranking = rank(load_run(by_hand))
    curves = {}
    for row in ranking.to_records():
        path = by_hand / "trials" / row["trial_id"] / "reports.jsonl"
        points = []
        for text in path.read_text().splitlines():
            try:
                report = json.loads(text)
            except ValueError:
                continue
            if report["val_accuracy"] is not None:
                points.append((report["train_seconds"], report["val_accuracy"]))
        curves[row["trial_id"]] = points
        assert row["best_accuracy"] == max((a for _, a in points), default=None)
        if points:
            assert (row["seconds"], row["val_accuracy"]) in points
    rates = rates_of(curves, ranking.floor)
    for row in ranking.to_records():
        expected = rates.get(row["trial_id"])
        assert row["accuracy_per_second"] == (expected and pytest.approx(expected))


def test_metrics_floors_and_clocks(by_hand):
    run = load_run(by_hand)

    def order(**options):
        return [row["trial_id"] for row in rank(run, **options).to_records() if row["rank"]]

    assert order(by="accuracy") == ["0008", "0001", "0003", "0002"]
    assert order(by="seconds") == ["0002", "0001", "0003", "0008"]
    assert order(floor=0.95) == []
    assert order(floor=0.25)[0] == "0002", "early points count: 0.7 after 1 s"
    # wall seconds are 2 · train_seconds + 1
    wall = {row["trial_id"]: row["seconds"] for row in rank(run, clock="wall").to_records()}
    assert (wall["0002"], wall["0001"]) == (7.0, 9.0)
    assert order(by="anytime")[0] == "0002"


def test_ties_are_broken_by_accuracy_then_seconds_then_id(make_run):
    run = make_run()
    run.trial("0001", [(1.0, 0.5), (2.0, 0.9)])
    run.trial("0002", [(1.0, 0.5), (2.0, 0.9), (9.0, 0.91)])  # same rate, higher accuracy later
    run.trial("0003", [(1.0, 0.5), (2.0, 0.9)])
    rows = rank(load_run(run.folder), floor=0.8).to_records()
    assert [row["trial_id"] for row in rows] == ["0002", "0001", "0003"]


def test_all_seconds_of_a_row_belong_to_one_report(contended):
    for clock, column in CLOCKS.items():
        for row in rank(load_run(contended), clock=clock).to_records():
            if row["val_accuracy"] is not None:
                assert row["wall_seconds"] == 2 * row["train_seconds"] + 1
                assert row["isolated_seconds"] is None or row["seconds"] == row[column]


def test_trials_are_ranked_by_isolated_seconds(contended):
    """0003 has the most training seconds, but the fewest isolated seconds; 0002 lacks some."""
    ranking = rank(load_run(contended))
    rows = {row["trial_id"]: row for row in ranking.to_records()}
    assert list(rows) == ["0003", "0001", "0002"]
    assert rows["0003"]["seconds"] == rows["0003"]["isolated_seconds"] == 1.5
    assert rows["0003"]["isolated_error"] == 1.5 / 8
    isolated = {"0001": [(1, 0.5), (2, 0.9)], "0003": [(0.75, 0.5), (1.5, 0.9)]}
    training = {"0002": [(2.25, 0.5), (4.5, 0.9)]}
    rates = rates_of(isolated | training, ranking.floor)
    assert rows["0003"]["accuracy_per_second"] == pytest.approx(rates["0003"], rel=0.01)
    # a curve has one clock: 0002 is ranked by training seconds
    assert rows["0002"]["seconds"] == rows["0002"]["train_seconds"] == 4.5
    assert rows["0002"]["isolated_seconds"] is None
    assert ranking.clock == "isolated"
    assert ranking.without_isolated == 1
    assert "on the isolated clock" in ranking.describe()
    assert "1 trial without isolated seconds" in ranking.describe()
    by_training = [row["trial_id"] for row in rank(load_run(contended), clock="train").to_records()]
    assert by_training == ["0001", "0002", "0003"]


def test_without_isolated_seconds_the_train_clock_is_used(by_hand):
    run = load_run(by_hand)
    assert rank(run).to_records() == rank(run, clock="train").to_records()
    assert rank(run, clock="isolated").clock == "train"
    assert "on the train clock" in rank(run).describe()


def test_a_slowdown_within_its_error_leaves_the_training_seconds(make_run):
    run = make_run()
    run.trial("0001", [(2, 0.5), (4, 0.9)])
    contention = make_contention(slowdown=[1.0, 0.91], error=[0.0, 0.07])
    run.change_manifest(contention={"cpu": contention.to_json()})
    ranking = rank(load_run(run.folder))
    assert ranking.clock == "train"
    assert "did not measurably slow each other down" in ranking.describe()


@given(runs, st.sampled_from(ALL_METRICS), st.sampled_from(sorted(CLOCKS)),
       st.randoms(use_true_random=False))  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_the_order_of_rows_does_not_matter(run_of, curves, by, clock, order):
    expected = rank(run_of(curves), by=by, clock=clock).to_records()
    assert rank(run_of(curves, order), by=by, clock=clock).to_records() == expected


@given(runs, st.sampled_from(ALL_METRICS), st.sampled_from([0.2, 0.4, 0.6]), st.data())
@settings(deadline=None, max_examples=60)
def test_an_improvement_never_lowers_the_rank_at_a_fixed_floor(run_of, curves, by, floor, data):
    def position(curves):
        rows = rank(run_of(curves), by=by, floor=floor).to_records()
        return [row["trial_id"] for row in rows].index(trial)

    trial = data.draw(st.sampled_from(sorted(curves)))
    best = max((accuracy for _, accuracy in curves[trial]), default=0.0)
    later = max((seconds for seconds, _ in curves[trial]), default=0.0) + 1
    better = data.draw(st.floats(best, 1.0))
    improved = curves | {trial: [*curves[trial], (later, better)]}
    assert position(improved) <= position(curves)


def test_trial_10000_follows_trial_9999(make_run):
    run = make_run()
    for trial_id in ("10000", "9999"):
        run.trial(trial_id, [(1.0, 0.5)])
    rows = rank(load_run(run.folder)).to_records()
    assert [row["trial_id"] for row in rows] == ["9999", "10000"]


def test_the_order_of_files_does_not_matter(by_hand, tmp_path):
    copied = tmp_path / "copied"
    shutil.copytree(by_hand, copied)
    for trial in sorted(os.listdir(by_hand / "trials"), reverse=True):
        shutil.rmtree(copied / "trials" / trial)
        shutil.copytree(by_hand / "trials" / trial, copied / "trials" / trial)
    assert rank(load_run(copied)).to_records() == rank(load_run(by_hand)).to_records()


@pytest.mark.parametrize("by", ALL_METRICS)
def test_records_are_valid_json(by_hand, by):
    json.dumps(rank(load_run(by_hand), by=by).to_records(), allow_nan=False)


def test_csv_has_a_column_per_parameter(by_hand):
    csv = rank(load_run(by_hand)).to_csv().splitlines()
    assert csv[0].endswith("solver.method")
    assert len(csv) == 10


def test_a_run_without_trials_has_an_empty_ranking(make_run):
    assert rank(load_run(make_run().folder)).to_records() == []


def test_invalid_options_name_the_valid_values(by_hand):
    run = load_run(by_hand)
    for by in ("speed", "speed@3"):
        with pytest.raises(UsageError, match="valid: accuracy_per_second"):
            rank(run, by=by)
    with pytest.raises(UsageError, match="expected a target accuracy"):
        rank(run, by="seconds@2")
    with pytest.raises(UsageError, match="expected a duration"):
        rank(run, by="accuracy@soon")
    with pytest.raises(UsageError, match="valid: isolated, train, wall"):
        rank(run, clock="cpu")


def test_runs_can_be_ranked_together(make_run):
    first, second = make_run("first", trial_seconds=10.0), make_run("second", trial_seconds=100.0)
    first.trial("0001", [(4.0, 0.9)])
    second.trial("0001", [(2.0, 0.9)])
    second.trial("0002", [(1.0, 0.3)])
    runs = [load_run(first.folder), load_run(second.folder)]
    ranking = rank(runs, budgets=(3.0,))
    # both runs are named `by hand`, so their directories are shown
    assert [(row["run"], row["trial_id"]) for row in ranking.to_records()] == [
        (str(second.folder), "0001"), (str(first.folder), "0001"), (str(second.folder), "0002"),
    ]  # fmt: skip
    assert [row["rank"] for row in ranking.to_records()] == [1, 2, None]
    assert ranking.budget_picks[0].run == str(second.folder)
    # one budget for all runs: an area does not depend on the order of runs
    assert ranking.to_records()[1]["anytime"] == rank(runs[::-1]).to_records()[1]["anytime"]
    with pytest.raises(UsageError, match="named twice"):
        rank([runs[0], runs[0]])
    with pytest.raises(UsageError, match="at least one run"):
        rank([])


def test_runs_on_different_data_are_rejected(make_run):
    first, second = make_run("first"), make_run("second")
    second.change_manifest(options={"command": "search", "dataset": "mnist"})
    with pytest.raises(
        UsageError, match="share their data to be ranked together; found digits, mnist"
    ):
        rank([load_run(first.folder), load_run(second.folder)])


def test_cpus_of_several_runs_are_distinguished_by_processor(make_run):
    folders = []
    for name in ("one", "other"):
        run = make_run(name)
        run.trial("0001", [(1.0, 0.9)])
        run.change_manifest(hardware={"processor": name})
        folders.append(run.folder)
    ranking = rank([load_run(folder) for folder in folders])
    assert ranking.devices == ("cpu (one)", "cpu (other)")
    assert list(ranking.table["rank"]) == [1, 1]


@given(runs, st.sampled_from([0.1, 0.5]))
@settings(deadline=None, max_examples=40)
def test_values_equal_a_naive_computation(run_of, curves, floor):
    table = rank(run_of(curves), floor=floor, targets=(0.5,), budgets=(2.0,)).to_records()
    rates = rates_of(curves, floor)
    for row in table:
        curve = curves[row["trial_id"]]
        missed = None if max((a for _, a in curve), default=0.0) < floor else 0.0
        expected = rates.get(row["trial_id"], missed)
        assert row["accuracy_per_second"] == (expected and pytest.approx(expected))
        assert row["seconds_to_0.5"] == min((s for s, a in curve if a >= 0.5), default=None)
        assert row["accuracy_within_2s"] == max((a for s, a in curve if s <= 2), default=None)
        all_points = [point for other in curves.values() for point in other]
        assert row["pareto"] == any(
            not any(s <= t and a >= b and (s, a) != (t, b) for s, a in all_points) for t, b in curve
        )


def test_a_notebook_shows_the_ranking(by_hand):
    text = rank(load_run(by_hand))._repr_html_()
    assert "<table" in text
    assert "0002" in text
    assert "<th>solver</th>" not in text, "the same in all trials"


def test_a_notebook_shows_the_parameters_that_differ(run_of_12):
    text = run_of_12[1]._repr_html_()
    assert "<th>solver</th>" in text
    assert "<td>dopri5</td>" in text


def test_parsing_and_defaults_of_targets_and_budgets():
    assert parse_target("95%") == parse_target("0.95") == 0.95
    assert parse_thresholds("10s, 1m,10", parse_duration) == (10.0, 60.0)
    assert parse_thresholds(None, parse_duration) is None
    assert default_targets(0.96) == (0.85, 0.9, 0.93, 0.95)
    assert default_targets(0.05) == ()
    assert default_budgets(0.8, 18.0) == (1.0, 3.0, 10.0, 30.0)


def test_the_interval_of_the_accuracy_follows_the_images_it_was_measured_on(make_run):
    run = make_run()
    run.trial("0001", [(1.0, 0.9)])
    run.trial("0002", [])
    run.append("0002", 1, 1.0, 0.9, val_images=100)
    table = rank(load_run(run.folder)).table.set_index("trial_id")
    assert np.isnan(table.loc["0001", "accuracy_low"]), "their number is unknown"
    run.change_manifest(validation_images=1000)
    table = rank(load_run(run.folder)).table.set_index("trial_id")
    ends = table[["accuracy_low", "accuracy_high"]]
    assert tuple(ends.loc["0001"]) == wilson_interval(0.9, 1000)
    assert tuple(ends.loc["0002"]) == wilson_interval(0.9, 100)
