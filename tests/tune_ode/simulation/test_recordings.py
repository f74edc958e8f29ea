"""Reading recordings, rejecting invalid ones, and finding the nearest one to a point."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_ode.errors import UsageError
from tune_ode.records import Outcome
from tune_ode.simulation.recordings import NearestTrial, Point, Recording, Recordings
from tune_ode.simulation.simulate import SimulationOptions, simulate_search

POINT = {"optimizer.learning_rate": 0.1, "training.epochs": 4, "solver.method": "dopri5"}


def test_a_table_needs_only_points_seconds_and_accuracies(write_table):
    curve = [{"train_seconds": 2.0, "val_accuracy": 0.3}, {"train_seconds": 3, "val_accuracy": 0.5}]
    recordings = Recordings.read(*write_table([{"params": POINT, "curve": curve}]))
    (trial,) = recordings.trials
    assert (trial.outcome, trial.epochs) == (Outcome.COMPLETED, 2)
    assert list(trial.curve) == [Point(1, 2.0, 2.0, 0.3), Point(2, 3.0, 3.0, 0.5)]
    assert (recordings.trial_seconds, recordings.accuracies) == (3.0, [0.3, 0.5])
    assert recordings.num_stopped == 0


def test_the_recordings_of_a_run_are_its_reports(recordings, tmp_path):
    options = SimulationOptions(
        source="", samplers=["random"], schedulers=["seconds"], workers=2, repetitions=1,
        trials=9, trial_seconds=12.0,
    )  # fmt: skip
    (strategy,) = options.strategies
    search = simulate_search(recordings, options, strategy, 0, tmp_path / "run")
    assert search.proposal_seconds > 0
    read = Recordings.read(str(tmp_path / "run"))
    assert (read.space, read.trial_seconds) == (recordings.space, 12.0)
    assert len(read.trials) == 9
    assert read.num_stopped > 0
    for number, trial in enumerate(read.trials, start=1):
        folder = tmp_path / "run" / "trials" / f"{number:04d}"
        reports = [json.loads(text) for text in (folder / "reports.jsonl").open()]
        assert trial.params == json.loads((folder / "config.json").read_text())["params"]
        for key in ("train_seconds", "wall_seconds"):
            assert [getattr(point, key) for point in trial.curve] == [r[key] for r in reports]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"curve": [{"val_accuracy": 0.5}]}, "trial 2: lacks 'train_seconds'"),
        ({"curve": [{"train_seconds": 0.0, "val_accuracy": 0.5}]}, "must rise from above 0"),
        ({"curve": [{"train_seconds": 1.0, "val_accuracy": 50}]}, "must lie in [0, 1], found 50"),
        ({"outcome": "lost"}, "'lost' is not a valid Outcome"),
        ({"outcome": "interrupted"}, "found interrupted"),
        ({"params": None}, "trial 2: 'NoneType' object is not iterable"),
    ],
)
def test_an_invalid_trial_is_named(write_table, rows, change, message):
    with pytest.raises(UsageError) as rejected:
        Recordings.read(*write_table([rows[0], rows[1] | change]))
    assert message in str(rejected.value)
    assert "\n" not in str(rejected.value)


def test_recordings_that_cannot_be_replayed_are_rejected(write_table, rows, tmp_path):
    with pytest.raises(UsageError, match="no trial with a measured accuracy"):
        Recordings.read(*write_table([rows[0] | {"curve": [], "outcome": "diverged"}]))
    with pytest.raises(UsageError, match=r"no such file: nowhere\.jsonl"):
        Recordings.read("nowhere.jsonl")
    with pytest.raises(UsageError, match="is not a run directory"):
        Recordings.read(str(tmp_path))


@given(st.integers(0, 2**32))
def test_a_recorded_point_is_nearest_to_itself(space, make_rows, seed):
    points = [trial["params"] for trial in make_rows(seed, 10)]
    nearest = NearestTrial(space, [Recording(point, Outcome.COMPLETED, 1, []) for point in points])
    for point in points:
        assert points[nearest.index(point)] == point


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"optimizer.learning_rate": 0.02}, 0),  # nearer to 0.01 than to 0.1 on a log scale
        ({"optimizer.learning_rate": 0.05}, 1),
        ({"solver.method": "euler", "solver.steps": 2}, 2),
        ({"solver.method": "euler", "solver.steps": 7}, 3),
    ],
)
def test_distances_use_the_scale_of_each_parameter(space, change, expected):
    euler = POINT | {"solver.method": "euler"}
    points = [
        POINT | {"optimizer.learning_rate": 0.01},
        POINT,
        euler | {"solver.steps": 1},
        euler | {"solver.steps": 8},
    ]
    trials = [Recording(point, Outcome.COMPLETED, 1, []) for point in points]
    assert NearestTrial(space, trials).index(POINT | change) == expected


CURVE = [Point(1, 2.0, 3.0, 0.4), Point(2, 4.0, 6.0, 0.6)]


def test_a_stopped_curve_keeps_its_last_accuracy():
    stopped = Recording(POINT, Outcome.STOPPED, 8, CURVE)
    assert list(stopped.within(10.0, 0.1)) == [*CURVE, Point(5.0, 10.0, 15.0, 0.6)]
    assert list(stopped.within(None, 0.1)) == [*CURVE, Point(8.0, 16.0, 24.0, 0.6)]
    assert list(stopped.within(4.0, 0.1)) == CURVE
    completed = Recording(POINT, Outcome.COMPLETED, 2, CURVE)
    assert list(completed.within(10.0, 0.1)) == CURVE


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.STOPPED])
def test_a_curve_ends_at_the_budget_with_the_accuracy_measured_by_then(outcome):
    """A trial of the simulated search must not see what its budget does not pay for."""
    recording = Recording(POINT, outcome, 8, CURVE)
    assert list(recording.within(3.0, 0.1)) == [CURVE[0], Point(1.5, 3.0, 4.5, 0.4)]
    assert list(recording.within(1.0, 0.1)) == [Point(0.5, 1.0, 1.5, 0.1)], "chance"
