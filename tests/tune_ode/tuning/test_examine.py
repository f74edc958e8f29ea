"""A trained model is scored as `train` scores it, and solved as its solvers say."""

from pathlib import Path

import pytest
import torch

from tune_ode.config import AdaptiveSolver, FixedGridSolver, TrialConfig
from tune_ode.data import load
from tune_ode.errors import SolveFailed
from tune_ode.prediction import score_on_test_set
from tune_ode.records import BEST_CHECKPOINT
from tune_ode.training import load_model
from tune_ode.tuning import examine as examine_module
from tune_ode.tuning.examine import TIGHT, examine, ladder, timed
from tune_ode.tuning.task import answer

CPU = torch.device("cpu")


@pytest.fixture
def model(task, monkeypatch):
    """Return a function that trains, and examines what was learned; reports and findings."""
    monkeypatch.setattr(examine_module, "_LATENCY_SECONDS", 0.01)

    def model(**settings):
        import dataclasses

        values = {name.replace("__", "."): value for name, value in settings.items()}
        config = TrialConfig.from_dict(task.config).with_values(values)
        *lines, _ = answer(dataclasses.replace(task, config=config.to_dict()))
        return lines, examine(task.folder, load(config.data), CPU)

    return model


def test_a_model_is_scored_once_on_the_test_set_and_solved_on_the_validation_split(model, task):
    lines, found = model()
    score = score_on_test_set(Path(task.run_folder), task.trial_id, None)
    assert (found.test_accuracy, found.test_images) == (score.accuracy, 359)
    own = found.solves[0]
    assert (own["own"], own["method"], own["steps"]) == (True, "euler", 1)
    assert own["accuracy"] == max(line.val_accuracy for line in lines), "of all 288 images"
    costs = {(one["method"], one["steps"]): one["evaluations"] for one in found.solves}
    assert costs["euler", 16] == 16
    assert costs["rk4", 2] == 8
    assert found.tight["rtol"] == TIGHT
    assert found.tight["evaluations"] > costs["rk4", 2]


def test_latency_is_told_for_one_image_and_for_many(model):
    _, found = model()
    one, many = found.latencies
    assert (one["batch"], many["batch"]) == (1, 256)
    for latency in found.latencies:
        assert 0 < latency["low_ms"] <= latency["median_ms"] <= latency["high_ms"]
        assert latency["repetitions"] >= 10
    assert many["median_ms"] > one["median_ms"]


def test_a_network_of_one_step_is_seen_to_be_no_ode(model, task):
    """Weights are set so that a step overshoots: one step is right where the ODE goes elsewhere."""
    model(training__epochs=1)
    path = task.folder / BEST_CHECKPOINT
    saved = torch.load(path, weights_only=True)
    function = [name for name in saved["model"] if name.startswith("blocks.0.function")]
    last = [name for name in function if name.endswith("weight")][-1]
    saved["model"][last] = saved["model"][last] * 30
    torch.save(saved, path)
    found = examine(task.folder, load(TrialConfig().data), CPU)
    own, tight = found.solves[0]["accuracy"], found.tight["accuracy"]
    assert tight is None or tight != own
    finest = next(one for one in found.solves if (one["method"], one["steps"]) == ("euler", 16))
    assert finest["accuracy"] != own


def test_a_network_without_an_ode_is_not_solved_otherwise(model):
    _, found = model(model__architecture="resnet", training__epochs=1)
    assert (found.solves, found.tight) == ([], None)
    assert found.test_accuracy > 0


def test_a_solve_that_meets_a_bound_has_no_accuracy(model, monkeypatch):
    real = examine_module.evaluate

    def fragile(model, batches):
        solver = model.blocks[0].solver
        if isinstance(solver, AdaptiveSolver):
            raise SolveFailed("too many evaluations")
        return real(model, batches)

    monkeypatch.setattr(examine_module, "evaluate", fragile)
    _, found = model(training__epochs=1)
    assert (found.tight["accuracy"], found.tight["evaluations"]) == (None, None)
    assert found.solves[0]["accuracy"] is not None


def test_half_precision_is_solved_in_single(model):
    lines, found = model(execution__precision="bf16", training__epochs=1)
    assert found.solves[0]["accuracy"] == pytest.approx(lines[0].val_accuracy, abs=0.03)
    assert found.tight["accuracy"] is not None


@pytest.mark.parametrize(
    ("own", "there", "missing"),
    [
        (FixedGridSolver(method="rk4", steps=2), ("rk4", 4), ("rk4", 2)),
        (FixedGridSolver(method="midpoint", steps=3), ("midpoint", 8), ("midpoint", 3)),
        (AdaptiveSolver(method="dopri5", rtol=1e-2), ("dopri5", 1e-3), ("dopri5", 1e-2)),
        (AdaptiveSolver(method="tsit5", rtol=1e-5), ("tsit5", 1e-3), ("tsit5", 1e-5)),
        (FixedGridSolver(method="explicit_adams"), ("euler", 1), ("explicit_adams", 2)),
    ],
)
def test_cheaper_and_finer_solvers_beside_its_own(own, there, missing):
    found = [(one.method, getattr(one, "steps", None) or one.rtol) for one in ladder(own)]
    assert there in found
    assert missing not in found
    assert len(set(found)) == len(found)


def test_calls_are_timed_to_their_end(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(examine_module.time, "perf_counter", lambda: now[0])
    calls = []

    def call():
        calls.append(None)

    def wait():
        now[0] += 0.25

    milliseconds = timed(call, wait)
    assert milliseconds == [250.0] * 10, "a device's queue is waited for"
    assert len(calls) == 13, "the first three are not counted"


def test_the_model_is_left_as_it_was_saved(model, task):
    _, found = model(training__epochs=1)
    again = load_model(task.folder / BEST_CHECKPOINT, CPU)
    assert again.config.solver.method == "euler"
    assert found == examine(task.folder, load(again.config.data), CPU) or found.solves
