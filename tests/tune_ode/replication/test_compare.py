"""A comparison trains each case with each seed once; only solver and gradient differ."""

import json

import pytest

from analysis.comparison.load import load_comparison
from analysis.load import load_run
from search_spaces.recipes import recipe
from tests.factories import make_checkpoint, make_report
from tune_ode.config import TrialConfig
from tune_ode.config.trial import dotted_paths
from tune_ode.errors import UsageError
from tune_ode.records import LAST_CHECKPOINT, Outcome
from tune_ode.replication.cases import CLASSIC_CASES, case_fields
from tune_ode.replication.compare_plan import CompareOptions, comparison_options, plan_comparison
from tune_ode.replication.runner import ReplicationRunner
from tune_ode.replication.train import train_all
from tune_ode.runs.folder import RunFolder
from tune_ode.worker.task import TrialEnd


@pytest.fixture
def plan(tmp_path, working_directory):
    """Return a function that plans a comparison on digits."""

    def plan(**options):
        defaults = {"dataset": "digits", "output": str(tmp_path / "runs"), "epochs": 2}
        return plan_comparison(CompareOptions.from_dict(defaults | options))

    return plan


def training(task, outcome=Outcome.COMPLETED):
    """Yield the events of a made-up training; its seconds are the length of the case's name."""
    cost = len(task.config["solver"]["method"] + task.config["solver"]["gradient"])
    for epoch in range(1, task.config["training"]["epochs"] + 1):
        yield make_report(
            task.trial_id, epoch, seconds=float(cost * epoch), attempt=task.attempt,
            test_accuracy=0.6,
        )  # fmt: skip
    yield TrialEnd(outcome=outcome)


def train(plan, events=training):
    """Run a plan with made-up trainings; return the result and the tasks."""
    tasks = []

    def start(task, from_scratch):
        tasks.append((task, from_scratch))
        return events(task)

    return train_all(plan, start=start), tasks


def test_cases_differ_in_solver_and_gradient_only(plan):
    planned = plan(cases=["classic", "rk4:backprop,resnet"])
    names = [one.confirms for one in planned.candidates]
    assert names == [*CLASSIC_CASES, "rk4:backprop", "resnet"]
    classic = dotted_paths(recipe("classic").to_dict()) | {
        "data.dataset": "digits", "training.epochs": 2,
    }  # fmt: skip
    for one in planned.candidates:
        here = dotted_paths(one.config.to_dict())
        changed = {path for path in here.keys() & classic.keys() if here[path] != classic[path]}
        assert changed <= one.params.keys()
        assert {path: here[path] for path in one.params} == one.params == case_fields(one.confirms)
    # a fixed grid has one step: four evaluations of rk4
    assert {one.config.solver.steps for one in planned.candidates[1:3]} == {1}
    assert planned.candidates[-1].config.model.blocks == 6


def test_fixed_fields_apply_to_the_cases_that_have_them(plan):
    fix = {"solver.rtol": 1e-2, "solver.steps": 3, "solver.adjoint_rtol": 0.1, "model.width": 8}
    configs = {one.confirms: one.config for one in plan(fix=fix).candidates}
    assert {config.model.width for config in configs.values()} == {8}
    assert configs["rk4:adjoint"].solver.steps == configs["euler:adjoint"].solver.steps == 3
    assert configs["dopri5:backprop"].solver.rtol == configs["dopri5:adjoint"].solver.rtol == 1e-2
    assert configs["dopri5:adjoint"].solver.adjoint_rtol == 0.1
    assert configs["dopri5:backprop"].solver.adjoint_rtol is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cases": ["rk4"]}, "METHOD:GRADIENT .such as rk4:backprop., resnet or classic, found"),
        ({"cases": ["classic,"]}, "found ''"),
        ({"cases": ["rk5:adjoint"]}, "--cases rk5:adjoint: unknown method 'rk5'; did you mean"),
        ({"cases": ["rk4:adjont"]}, "did you mean 'adjoint'"),
        ({"fix": {"solver.method": "rk4"}}, "is not available in a comparison; use --cases"),
        ({"fix": {"seed": 3}}, "use --seeds"),
        ({"fix": {"training.epochs": 3}}, "use --epochs"),
        ({"fix": {"solver.rtoll": 1e-2}}, "did you mean 'solver.rtol'"),
        ({"fix": {"solver.steps": 2}, "cases": ["dopri5:adjoint"]}, "none of the cases dopri5"),
        ({"fix": {"model.ode.normalization": "batch"}}, "needs solver.gradient=backprop"),
        ({"dataset": "mnits"}, "did you mean 'mnist'"),
        ({"name": "../up"}, "--name must be letters"),
        ({"train_images": 1}, "train_images"),
    ],
)
def test_invalid_options_are_rejected(plan, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        plan(**options)
    assert not (tmp_path / "runs").exists()


def test_every_case_is_trained_with_every_seed_once(plan):
    planned = plan(seeds=2)
    result, tasks = train(planned)
    assert (result.interrupted, result.outcomes) == (False, {Outcome.COMPLETED: 8})
    assert all(task.evaluate_test and task.budget_seconds is None for task, _ in tasks)
    assert [task.config["seed"] for task, _ in tasks] == [0] * 4 + [1] * 4
    run = load_run(planned.folder)
    compared = load_comparison(run)
    assert [case.name for case in compared.cases] == list(CLASSIC_CASES)
    assert {case.test.count for case in compared.cases} == {2}
    assert (compared.unfinished, compared.seeds, compared.test_images) == (0, 2, 359)
    assert run.manifest.state == "finished"


def test_the_same_options_continue_a_run_and_may_add_cases_and_seeds(plan):
    planned = plan(cases=["rk4:adjoint"])
    train(planned)
    assert train(plan(cases=["rk4:adjoint"]))[1] == []
    _, tasks = train(plan(cases=["rk4:adjoint,euler:adjoint"], seeds=2))
    assert len(tasks) == 3
    assert [case.name for case in load_comparison(load_run(planned.folder)).cases] == [
        "rk4:adjoint", "euler:adjoint",
    ]  # fmt: skip
    assert plan(epochs=3).folder != planned.folder
    assert plan(fix={"model.width": 8}).folder != planned.folder


def test_a_name_belongs_to_one_comparison(plan, tmp_path):
    train(plan(name="mine", cases=["rk4:adjoint"]))
    with pytest.raises(UsageError, match="with different epochs; choose another --name"):
        plan(name="mine", epochs=3)
    (tmp_path / "runs" / "other").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        plan(name="other")


def test_a_killed_comparison_is_resumed_from_its_run_directory(plan, monkeypatch):
    class Killed(BaseException):
        pass

    def with_checkpoint(task):
        (task.folder / LAST_CHECKPOINT).write_bytes(make_checkpoint())
        return training(task)

    planned = plan(cases=["rk4:adjoint,euler:adjoint"])
    handle = ReplicationRunner.handle

    def die(self, event):
        if isinstance(event, TrialEnd) and self.running.spec.trial_id == "0002":
            raise Killed
        handle(self, event)

    with monkeypatch.context() as patch:
        patch.setattr(ReplicationRunner, "handle", die)
        # a killed process does not record its interruption
        patch.setattr(ReplicationRunner, "close", lambda self: None)
        with pytest.raises(Killed):
            train(planned, with_checkpoint)
    before = json.loads((planned.folder / "trials/0001/outcome.json").read_text())
    _, tasks = train(plan_comparison(comparison_options(planned.folder, {})))
    assert [(task.trial_id, task.attempt, first) for task, first in tasks] == [("0002", 2, False)]
    assert json.loads((planned.folder / "trials/0001/outcome.json").read_text()) == before
    assert load_comparison(load_run(planned.folder)).unfinished == 0


def test_a_case_that_diverges_is_kept_and_the_others_continue(plan):
    def diverging(task):
        bad = task.config["solver"]["method"] == "rk4"
        return training(task, Outcome.DIVERGED if bad else Outcome.COMPLETED)

    planned = plan()
    result, _ = train(planned, diverging)
    assert result.outcomes == {Outcome.COMPLETED: 3, Outcome.DIVERGED: 1}
    assert [case.name for case in load_comparison(load_run(planned.folder)).measured] == [
        "dopri5:backprop", "euler:adjoint", "dopri5:adjoint",
    ]  # fmt: skip


def test_a_moved_run_is_resumed_in_its_new_place(plan, tmp_path):
    planned = plan(cases=["rk4:adjoint"])
    train(planned)
    moved = tmp_path / "elsewhere" / "moved"
    moved.parent.mkdir()
    planned.folder.rename(moved)
    again = plan_comparison(comparison_options(moved, {}))
    assert (again.folder, train(again)[1]) == (moved, [])


def test_the_result_has_the_resume_command(plan):
    planned = plan(cases=["rk4:adjoint"])
    result, _ = train(planned)
    folder = RunFolder(planned.folder)
    folder.close()
    command = f"tune-ode resume runs/{planned.folder.name}"
    assert folder.resume_command == result.resume_command == command
    assert TrialConfig.from_dict(folder.manifest.base).solver.method == "rk4"
