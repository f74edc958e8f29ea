"""Post-training evaluation: test score, other solvers, latency."""

from pathlib import Path

import pytest
import torch

from analysis.confirmation.data import MAX_ODE_GAP
from analysis.statistics import CONFIDENCE, DRAWS
from tests.factories import make_manifest, make_task
from tune_ode.config import AdaptiveSolver, FixedGridSolver
from tune_ode.config.solver import REFERENCE_SOLVER
from tune_ode.errors import SolveFailed
from tune_ode.prediction import score_on_test_set
from tune_ode.records import MANIFEST, dumps
from tune_ode.replication import evaluation as evaluation_module
from tune_ode.replication.confirm_plan import FIRST_SEED
from tune_ode.replication.evaluation import (
    LARGE_BATCH,
    MAX_SOLVE_IMAGES,
    evaluate_model,
    solver_grid,
    time_calls,
)
from tune_ode.worker.task import run_trial

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return a function that trains for an epoch and evaluates the model."""

    def model(**values):
        task = make_task(tmp_path_factory.mktemp("run"), **{"training.epochs": 1} | values)
        report, _ = run_trial(task)
        return task, report, evaluate_model(task)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNE_ODE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(evaluation_module, "_LATENCY_SECONDS", 0.01)
        threads = torch.get_num_threads()
        yield model
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def euler(model):
    return model()


def test_the_test_score_is_the_same_as_after_train(euler):
    task, _, found = euler
    manifest = dumps(make_manifest().to_json())
    (Path(task.run_folder) / MANIFEST).write_text(manifest)
    score = score_on_test_set(Path(task.run_folder), task.trial_id, None)
    assert (found.test_accuracy, found.test_images) == (score.accuracy, 359)


def test_other_solvers_are_compared_on_the_validation_split(euler):
    _, report, found = euler
    own = found.solves[0]
    assert (own["own"], own["method"], own["steps"]) == (True, "euler", 1)
    assert (own["accuracy"], found.solve_images) == (report.val_accuracy, 575)
    costs = {(one["method"], one["steps"]): one["evaluations"] for one in found.solves}
    assert costs["euler", 16] == 16
    assert costs["rk4", 2] == 8
    assert found.reference["rtol"] == REFERENCE_SOLVER.rtol
    assert found.reference["evaluations"] > costs["rk4", 2]


def test_latency_is_measured_for_one_image_and_for_many(euler):
    one, many = euler[2].latencies
    assert (one["batch"], many["batch"]) == (1, LARGE_BATCH)
    for latency in (one, many):
        assert 0 < latency["low_ms"] <= latency["median_ms"] <= latency["high_ms"]
        assert latency["repetitions"] >= 10
    assert many["median_ms"] > one["median_ms"]


def test_a_resnet_has_no_other_solvers(model):
    _, _, found = model(**{"model.architecture": "resnet"})
    assert (found.solves, found.reference) == ([], None)
    assert found.test_accuracy > 0


def test_a_failed_solve_has_no_accuracy(euler, monkeypatch):
    task, report, _ = euler
    real = evaluation_module.evaluate

    def fragile(model, batches):
        if isinstance(model.blocks[0].solver, AdaptiveSolver):
            raise SolveFailed("too many evaluations")
        return real(model, batches)

    monkeypatch.setattr(evaluation_module, "evaluate", fragile)
    found = evaluate_model(task)
    assert (found.reference["accuracy"], found.reference["evaluations"]) == (None, None)
    assert found.solves[0]["accuracy"] == report.val_accuracy


def test_half_precision_models_are_solved_in_single_precision(model):
    _, report, found = model(**{"execution.precision": "bf16"})
    assert found.solves[0]["accuracy"] == pytest.approx(report.val_accuracy, abs=0.03)
    assert found.reference["accuracy"] is not None, "bfloat16 could not reach the tolerance"


def test_solvers_are_compared_in_ieee_fp32(euler, monkeypatch):
    real, seen = evaluation_module.evaluate, []

    def recording(model, batches):
        seen.append(torch.backends.cudnn.conv.fp32_precision)
        return real(model, batches)

    monkeypatch.setattr(evaluation_module, "evaluate", recording)
    found = evaluate_model(euler[0])
    of_test_set, *of_solvers = seen
    assert of_test_set == torch.backends.cudnn.conv.fp32_precision, "as in training"
    assert of_solvers == ["ieee"] * (len(found.solves) + 1)
    assert found.reference == euler[2].reference


@pytest.mark.parametrize(
    ("own", "present", "missing"),
    [
        (FixedGridSolver(method="rk4", steps=2), ("rk4", 4), ("rk4", 2)),
        (FixedGridSolver(method="midpoint", steps=4), ("midpoint", 8), ("midpoint", 4)),
        (AdaptiveSolver(method="dopri5", rtol=1e-2), ("dopri5", 1e-3), ("dopri5", 1e-2)),
        (AdaptiveSolver(method="tsit5", rtol=1e-2), ("tsit5", 1e-3), ("tsit5", 1e-2)),
        (FixedGridSolver(method="explicit_adams", steps=2), ("euler", 1), ("explicit_adams", 4)),
    ],
)
def test_the_solver_grid_excludes_the_models_own_solver(own, present, missing):
    found = [(one.method, getattr(one, "steps", None) or one.rtol) for one in solver_grid(own)]
    assert present in found
    assert missing not in found
    assert len(set(found)) == len(found)


def test_a_large_validation_split_is_subsampled(euler, monkeypatch):
    monkeypatch.setattr(evaluation_module, "MAX_SOLVE_IMAGES", 100)
    monkeypatch.setattr(evaluation_module, "solver_grid", lambda own: [])
    assert evaluate_model(euler[0]).solve_images == 100


def test_time_calls_waits_for_the_device(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(evaluation_module.time, "perf_counter", lambda: now[0])
    calls = []

    def wait():
        now[0] += 0.25

    assert time_calls(lambda: calls.append(None), wait) == [250.0] * 10, "it waits for the device"
    assert len(calls) == 13, "three calls warm up"


def test_the_guide_has_the_constants_of_the_code():
    guide = Path(__file__).parents[3] / "docs" / "concepts" / "confirm.md"
    text = " ".join(guide.read_text(encoding="utf-8").split())
    assert f"{DRAWS:,} times" in text
    assert f"at least {CONFIDENCE}" in text
    assert f"exceeds {MAX_ODE_GAP}, or" in text
    assert f"{REFERENCE_SOLVER.max_evaluations:,} evaluations" in text
    assert f"up to {MAX_SOLVE_IMAGES:,} of the validation split" in text
    assert f"and for {LARGE_BATCH}," in text
    assert f"plus {FIRST_SEED + 1:,}" in text
    assert REFERENCE_SOLVER.rtol == REFERENCE_SOLVER.absolute_tolerance == 1e-5
    assert "tolerance of 1e-5" in text
