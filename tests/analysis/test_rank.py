"""The ranking agrees with the report lines when it is worked out by hand, in a stated order."""

import json
import os
import shutil

import pytest

from analysis.load import load_run
from analysis.rank import MEASURES, compact_params, rank
from tune_ode import records
from tune_ode.errors import QuestionError, RunFolderError


def test_the_ranking_worked_out_by_hand(by_hand):
    ranking = rank(load_run(by_hand))
    rows = {row["trial_id"]: row for row in ranking.to_records()}
    assert ranking.floor == pytest.approx(0.92 - 0.05)
    # at or above 0.87: 0001 and 0003 at 4 s with 0.9, 0002 at 3 s with 0.88, 0008 at 8 s with 0.92
    assert rows["0002"]["accuracy_per_second"] == pytest.approx((0.88 - 0.1) / 3)
    assert rows["0001"]["accuracy_per_second"] == pytest.approx((0.90 - 0.1) / 4)
    assert rows["0003"]["accuracy_per_second"] == pytest.approx((0.90 - 0.1) / 4)
    assert rows["0008"]["accuracy_per_second"] == pytest.approx((0.92 - 0.1) / 8)
    # ranked; then those below the floor by accuracy; then the unmeasured by id
    assert list(rows) == [
        "0002", "0001", "0003", "0008", "0009", "0004", "0005", "0006", "0007",
    ]  # fmt: skip
    assert [row["rank"] for row in rows.values()] == [1, 2, 3, 4, *[None] * 5]
    assert rows["0009"]["outcome"] == "running"
    assert rows["0009"]["val_accuracy"] == 0.6, "the line cut off is passed over"
    assert rows["0006"]["val_accuracy"] is None
    # nothing beats (1, 0.7), (2, 0.8), (3, 0.88), (4, 0.9), (8, 0.92)
    assert {i for i, row in rows.items() if row["pareto"]} == {"0001", "0002", "0003", "0008"}


def test_every_number_follows_from_the_lines_on_disk(by_hand):
    """As a reader would recompute them, from the files alone."""
    ranking = rank(load_run(by_hand))
    for row in ranking.to_records():
        path = by_hand / "trials" / row["trial_id"] / "reports.jsonl"
        points = []
        for text in path.read_text().splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if line["val_accuracy"] is not None:
                points.append((line["train_seconds"], line["val_accuracy"]))
        rates = [(a - 0.1) / s for s, a in points if a >= ranking.floor]
        assert row["accuracy_per_second"] == (pytest.approx(max(rates)) if rates else None)
        assert row["best_accuracy"] == max((a for _, a in points), default=None)
        if rates:
            assert (row["val_accuracy"] - 0.1) / row["seconds"] == pytest.approx(max(rates))
            assert (row["seconds"], row["val_accuracy"]) in points


def test_other_measures_floors_and_clocks(by_hand):
    run = load_run(by_hand)

    def order(**options):
        return [row["trial_id"] for row in rank(run, **options).to_records() if row["rank"]]

    assert order(by="accuracy") == ["0008", "0001", "0003", "0002"]
    assert order(by="seconds") == ["0002", "0001", "0003", "0008"]
    assert order(floor=0.95) == []
    assert order(floor=0.25)[0] == "0002", "with a low floor early points count: 0.7 after 1 s"
    # wall seconds are 2 s + 1 in this run: 0002 at 7, 0001 at 9
    wall = rank(run, clock="wall").to_records()
    assert wall[0]["seconds"] == 7.0
    assert order(by="anytime")[0] == "0002"


def test_a_tie_goes_to_accuracy_then_seconds_then_id(make_run):
    run = make_run()
    run.trial("0001", [(1.0, 0.5), (2.0, 0.9)])
    run.trial("0002", [(1.0, 0.5), (2.0, 0.9), (9.0, 0.91)])  # the same rate, later better
    run.trial("0003", [(1.0, 0.5), (2.0, 0.9)])
    rows = rank(load_run(run.folder), floor=0.8).to_records()
    assert [row["trial_id"] for row in rows] == ["0002", "0001", "0003"]


def test_a_restarted_trial_counts_its_last_attempt(make_run):
    run = make_run()
    folder = run.trial("0001", [(1.0, 0.5), (2.0, 0.9)])
    with (folder / records.REPORTS).open("a") as file:
        file.write(records.dumps(run.line("0001", 2, 3.0, 0.6, attempt=2).to_json()) + "\n")
    lines = load_run(run.folder).lines
    assert lines[["epoch", "val_accuracy", "attempt"]].to_numpy().tolist() == [
        [1.0, 0.5, 1],
        [2.0, 0.6, 2],
    ]


def test_the_order_of_files_decides_nothing(by_hand, tmp_path):
    copied = tmp_path / "copied"
    shutil.copytree(by_hand, copied)
    for trial in sorted(os.listdir(by_hand / "trials"), reverse=True):
        shutil.rmtree(copied / "trials" / trial)
        shutil.copytree(by_hand / "trials" / trial, copied / "trials" / trial)
    assert rank(load_run(copied)).to_records() == rank(load_run(by_hand)).to_records()


@pytest.mark.parametrize("by", MEASURES)
def test_json_holds_no_number_that_json_lacks(by_hand, by):
    json.dumps(rank(load_run(by_hand), by=by).to_records(), allow_nan=False)


def test_csv_has_a_column_for_each_parameter(by_hand):
    csv = rank(load_run(by_hand)).to_csv().splitlines()
    assert csv[0].endswith("solver.method")
    assert len(csv) == 10


def test_a_run_without_trials_has_an_empty_ranking(make_run):
    assert rank(load_run(make_run().folder)).to_records() == []


def test_wrong_questions_name_what_is_valid(by_hand, tmp_path):
    with pytest.raises(QuestionError, match="valid: accuracy_per_second"):
        rank(load_run(by_hand), by="speed")
    with pytest.raises(QuestionError, match="valid: train, wall"):
        rank(load_run(by_hand), clock="cpu")
    with pytest.raises(RunFolderError, match="no run folder"):
        load_run(tmp_path / "nothing")


def test_parameters_read_short_and_unambiguous():
    params = {
        "solver.method": "rk4",
        "solver.steps@rk4": 2,
        "optimizer.learning_rate@sgd": 0.123456,
        "model.normalization": "batch",
        "model.ode.normalization": "group",
    }
    short = "rk4, steps 2, learning_rate 0.123, outer norm batch, ode norm group"
    assert compact_params(params) == short
