"""A trained model is scored as `train` scores it, and solved as its solvers say."""

from pathlib import Path

import pytest
import torch

from analysis.confirmed import SURE
from analysis.load_confirmed import DISCRETE
from analysis.statistics import DRAWS
from tune_ode.config import AdaptiveSolver, FixedGridSolver, TrialConfig
from tune_ode.data import load
from tune_ode.errors import SolveFailed
from tune_ode.prediction import score_on_test_set
from tune_ode.replication import evaluation as examine_module
from tune_ode.replication.confirm_plan import FIRST_SEED
from tune_ode.replication.evaluation import (
    LARGE_BATCH,
    MOST_EVALUATIONS,
    MOST_SOLVE_IMAGES,
    REFERENCE_TOLERANCE,
    evaluate_model,
    solver_grid,
    timed,
)
from tune_ode.worker.task import Task, run_trial

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return a function that trains for an epoch, and examines what was learned."""

    def model(**settings):
        folder = tmp_path_factory.mktemp("run")
        (folder / "trials" / "0001").mkdir(parents=True)
        values = {name.replace("__", "."): value for name, value in settings.items()}
        config = TrialConfig().with_values(
            {"model.width": 8, "solver.method": "euler", "training.epochs": 1} | values
        )
        task = Task(
            trial_id="0001", attempt=1, config=config.to_dict(), run_folder=str(folder),
            data_dir=None, device="cpu", threads=torch.get_num_threads(), budget_seconds=None,
            report_instants=(),
        )  # fmt: skip
        line, _ = run_trial(task)
        return task, line, evaluate_model(task.folder, load(config.data), CPU)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNE_ODE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(examine_module, "_LATENCY_SECONDS", 0.01)
        yield model


@pytest.fixture(scope="module")
def euler(model):
    return model()


def test_a_model_is_scored_as_train_scores_it(euler):
    task, _, found = euler
    score = score_on_test_set(Path(task.run_folder), task.trial_id, None)
    assert (found.test_accuracy, found.test_images) == (score.accuracy, 359)


def test_it_is_solved_otherwise_on_the_validation_split(euler):
    _, line, found = euler
    own = found.solves[0]
    assert (own["own"], own["method"], own["steps"]) == (True, "euler", 1)
    assert (own["accuracy"], found.solve_images) == (line.val_accuracy, 288)
    costs = {(one["method"], one["steps"]): one["evaluations"] for one in found.solves}
    assert costs["euler", 16] == 16
    assert costs["rk4", 2] == 8
    assert found.reference["rtol"] == REFERENCE_TOLERANCE
    assert found.reference["evaluations"] > costs["rk4", 2]


def test_latency_is_told_for_one_image_and_for_many(euler):
    one, many = euler[2].latencies
    assert (one["batch"], many["batch"]) == (1, LARGE_BATCH)
    for latency in (one, many):
        assert 0 < latency["low_ms"] <= latency["median_ms"] <= latency["high_ms"]
        assert latency["repetitions"] >= 10
    assert many["median_ms"] > one["median_ms"]


def test_a_network_without_an_ode_is_not_solved_otherwise(model):
    _, _, found = model(model__architecture="resnet")
    assert (found.solves, found.reference) == ([], None)
    assert found.test_accuracy > 0


def test_a_solve_that_meets_a_bound_has_no_accuracy(euler, monkeypatch):
    task, line, _ = euler
    real = examine_module.evaluate

    def fragile(model, batches):
        if isinstance(model.blocks[0].solver, AdaptiveSolver):
            raise SolveFailed("too many evaluations")
        return real(model, batches)

    monkeypatch.setattr(examine_module, "evaluate", fragile)
    found = evaluate_model(task.folder, load(TrialConfig().data), CPU)
    assert (found.reference["accuracy"], found.reference["evaluations"]) == (None, None)
    assert found.solves[0]["accuracy"] == line.val_accuracy


def test_half_precision_is_solved_in_single(model):
    _, line, found = model(execution__precision="bf16")
    assert found.solves[0]["accuracy"] == pytest.approx(line.val_accuracy, abs=0.03)
    assert found.reference["accuracy"] is not None, "which bfloat16 could not"


@pytest.mark.parametrize(
    ("own", "there", "missing"),
    [
        (FixedGridSolver(method="rk4", steps=2), ("rk4", 4), ("rk4", 2)),
        (FixedGridSolver(method="midpoint", steps=4), ("midpoint", 8), ("midpoint", 4)),
        (AdaptiveSolver(method="dopri5", rtol=1e-2), ("dopri5", 1e-3), ("dopri5", 1e-2)),
        (AdaptiveSolver(method="tsit5", rtol=1e-2), ("tsit5", 1e-3), ("tsit5", 1e-2)),
        (FixedGridSolver(method="explicit_adams", steps=2), ("euler", 1), ("explicit_adams", 4)),
    ],
)
def test_cheaper_and_finer_solvers_beside_its_own(own, there, missing):
    found = [(one.method, getattr(one, "steps", None) or one.rtol) for one in solver_grid(own)]
    assert there in found
    assert missing not in found
    assert len(set(found)) == len(found)


def test_a_set_that_is_too_large_is_thinned_evenly(euler, monkeypatch):
    monkeypatch.setattr(examine_module, "MOST_SOLVE_IMAGES", 100)
    monkeypatch.setattr(examine_module, "solver_grid", lambda own: [])
    found = evaluate_model(euler[0].folder, load(TrialConfig().data), CPU)
    assert found.solve_images == 100


def test_calls_are_timed_to_their_end(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(examine_module.time, "perf_counter", lambda: now[0])
    calls = []

    def wait():
        now[0] += 0.25

    assert timed(lambda: calls.append(None), wait) == [250.0] * 10, "a device's queue is waited for"
    assert len(calls) == 13, "the first three are not counted"


def test_the_guide_tells_the_numbers_of_the_code():
    text = (Path(__file__).parents[3] / "docs" / "confirm.md").read_text(encoding="utf-8")
    assert f"{DRAWS:,} times" in text
    assert f"at least {SURE}" in text
    assert f"Above {DISCRETE}" in text
    assert f"{MOST_EVALUATIONS:,} evaluations" in text
    assert f"up to {MOST_SOLVE_IMAGES:,} of the validation split" in text
    assert f"and for {LARGE_BATCH}," in text
    assert f"plus {FIRST_SEED + 1:,}" in text
    assert REFERENCE_TOLERANCE == 1e-5
    assert "tolerance of 1e-5" in text
