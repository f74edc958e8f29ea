"""Recordings: what a table may say, what is refused, and which curve answers for a point."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_ode.errors import UsageError
from tune_ode.records import Outcome
from tune_ode.simulation.recordings import Nearest, Point, Recording, Recordings
from tune_ode.simulation.simulate import SimulationOptions, simulate_search

POINT = {"optimizer.learning_rate": 0.1, "training.epochs": 4, "solver.method": "dopri5"}


def test_a_table_needs_no_more_than_points_seconds_and_accuracies(write_table):
    curve = [{"train_seconds": 2.0, "val_accuracy": 0.3}, {"train_seconds": 3, "val_accuracy": 0.5}]
    recordings = Recordings.read(*write_table([{"params": POINT, "curve": curve}]))
    (trial,) = recordings.trials
    assert (trial.outcome, trial.epochs) == (Outcome.COMPLETED, 2)
    assert list(trial.curve) == [Point(1, 2.0, 2.0, 0.3), Point(2, 3.0, 3.0, 0.5)]
    assert (recordings.trial_seconds, recordings.best, recordings.cut_off) == (3.0, 0.5, 0)


def test_a_run_is_read_as_it_was_measured(recordings, tmp_path):
    question = SimulationOptions(
        source="", samplers=["random"], schedulers=["seconds"], workers=2, repetitions=1,
        trials=9, trial_seconds=12.0,
    )  # fmt: skip
    (strategy,) = question.strategies
    simulate_search(recordings, question, strategy, 0, tmp_path / "run")
    read = Recordings.read(str(tmp_path / "run"))
    assert (read.space, read.trial_seconds) == (recordings.space, 12.0)
    assert len(read.trials) == 9
    assert read.cut_off > 0
    for number, trial in enumerate(read.trials, start=1):
        folder = tmp_path / "run" / "trials" / f"{number:04d}"
        lines = [json.loads(text) for text in (folder / "reports.jsonl").open()]
        assert trial.params == json.loads((folder / "config.json").read_text())["params"]
        assert [point.train_seconds for point in trial.curve] == [x["train_seconds"] for x in lines]
        assert [point.wall_seconds for point in trial.curve] == [x["wall_seconds"] for x in lines]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"curve": [{"val_accuracy": 0.5}]}, "trial 2: lacks 'train_seconds'"),
        ({"curve": [{"train_seconds": 0.0, "val_accuracy": 0.5}]}, "must rise from above 0"),
        ({"curve": [{"train_seconds": 1.0, "val_accuracy": 50}]}, "must lie in [0, 1], found 50"),
        ({"outcome": "lost"}, "'lost' is not a valid Outcome"),
        ({"outcome": "interrupted"}, "found interrupted"),
        ({"params": None}, "trial 2: 'NoneType' object is not iterable"),
    ],
)
def test_a_wrong_trial_is_named(write_table, rows, change, said):
    with pytest.raises(UsageError) as error:
        Recordings.read(*write_table([rows[0], rows[1] | change]))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_what_could_not_be_replayed_is_refused(write_table, rows, tmp_path):
    with pytest.raises(UsageError, match="no trial with a measured accuracy"):
        Recordings.read(*write_table([rows[0] | {"curve": [], "outcome": "diverged"}]))
    with pytest.raises(UsageError, match=r"there is no nowhere\.jsonl"):
        Recordings.read("nowhere.jsonl")
    with pytest.raises(UsageError, match="is not a run directory"):
        Recordings.read(str(tmp_path))


@given(st.integers(0, 2**32))
def test_a_recorded_point_is_nearest_to_itself(space, draw, seed):
    points = [trial["params"] for trial in draw(seed, 10)]
    nearest = Nearest(space, [Recording(point, Outcome.COMPLETED, 1, []) for point in points])
    for point in points:
        assert points[nearest.index(point)] == point


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"optimizer.learning_rate": 0.02}, 0),  # nearer to 0.01 than to 0.1 in the logarithm
        ({"optimizer.learning_rate": 0.05}, 1),
        ({"solver.method": "euler", "solver.steps": 2}, 2),
        ({"solver.method": "euler", "solver.steps": 7}, 3),
    ],
)
def test_nearness_is_on_each_parameters_scale(space, change, expected):
    euler = POINT | {"solver.method": "euler"}
    points = [
        POINT | {"optimizer.learning_rate": 0.01},
        POINT,
        euler | {"solver.steps": 1},
        euler | {"solver.steps": 8},
    ]
    trials = [Recording(point, Outcome.COMPLETED, 1, []) for point in points]
    assert Nearest(space, trials).index(POINT | change) == expected


def test_a_curve_that_was_cut_off_stays_where_it_was():
    curve = [Point(1, 2.0, 3.0, 0.4), Point(2, 4.0, 6.0, 0.6)]
    cut_off = Recording(POINT, Outcome.STOPPED, 8, curve)
    assert list(cut_off.to_the_end(10.0)) == [*curve, Point(5.0, 10.0, 15.0, 0.6)]
    assert list(cut_off.to_the_end(None)) == [*curve, Point(8.0, 16.0, 24.0, 0.6)]
    assert list(cut_off.to_the_end(4.0)) == curve
    whole = Recording(POINT, Outcome.COMPLETED, 8, curve)
    assert list(whole.to_the_end(10.0)) == curve
