"""A comparison trains every case with every seed once; cases differ in what their names say."""

import json
from dataclasses import replace

import pytest

from analysis.compared import load_compared
from analysis.load import load_run
from search_spaces.recipes import recipe
from tune_ode.config import TrialConfig
from tune_ode.config.trial import dotted_paths
from tune_ode.errors import UsageError
from tune_ode.records import LAST_CHECKPOINT, Outcome
from tune_ode.replication.cases import CLASSIC_CASES, settings_of
from tune_ode.replication.compare import compare
from tune_ode.replication.compare_plan import (
    CompareOptions,
    comparison_in,
    plan_comparison,
)
from tune_ode.replication.runner import ReplicationRunner
from tune_ode.runs.folder import RunFolder
from tune_ode.worker.task import TrialEnd


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Return a function that plans a comparison on digits in a folder of the test's own."""
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "cache"))

    def plan(**options):
        asked = {"dataset": "digits", "output": str(tmp_path / "runs"), "epochs": 2} | options
        return plan_comparison(CompareOptions.from_dict(asked))

    return plan


class Events(list):
    """What a made-up training says; a case's seconds are the length of its name."""

    def __init__(self, task, report, *, ending=Outcome.COMPLETED):
        cost = len(task.config["solver"]["method"] + task.config["solver"]["gradient"])
        lines = [
            replace(report(task, epoch, 0.5, seconds=float(cost * epoch)), test_accuracy=0.6)
            for epoch in range(1, task.config["training"]["epochs"] + 1)
        ]
        super().__init__([*lines, TrialEnd(outcome=ending)])

    def close(self):
        pass


@pytest.fixture
def train(report):
    """Return a function that runs a plan with made-up trainings, and returns their tasks."""

    def train(chosen, events=Events):
        tasks = []

        def start(task, first):
            tasks.append((task, first))
            return events(task, report)

        return compare(chosen, start=start), tasks

    return train


def test_cases_differ_in_solver_and_gradient_alone(plan):
    chosen = plan(cases=["classic", "rk4:backprop,resnet"])
    assert [one.confirms for one in chosen.candidates] == [*CLASSIC_CASES, "rk4:backprop", "resnet"]
    classic = dotted_paths(recipe("classic").to_dict()) | {
        "data.dataset": "digits", "training.epochs": 2,
    }  # fmt: skip
    for one in chosen.candidates:
        here = dotted_paths(one.config.to_dict())
        changed = {path for path in here.keys() & classic.keys() if here[path] != classic[path]}
        assert changed <= one.params.keys()
        assert {path: here[path] for path in one.params} == one.params == settings_of(one.confirms)
    # a fixed grid has one step: four evaluations of rk4
    assert {one.config.solver.steps for one in chosen.candidates[1:3]} == {1}
    assert chosen.candidates[-1].config.model.blocks == 6


def test_a_fixed_setting_is_of_the_cases_that_have_it(plan):
    fix = {"solver.rtol": 1e-2, "solver.steps": 3, "solver.adjoint_rtol": 0.1, "model.width": 8}
    configs = {one.confirms: one.config for one in plan(fix=fix).candidates}
    assert {config.model.width for config in configs.values()} == {8}
    assert configs["rk4:adjoint"].solver.steps == configs["euler:adjoint"].solver.steps == 3
    assert configs["dopri5:backprop"].solver.rtol == configs["dopri5:adjoint"].solver.rtol == 1e-2
    assert configs["dopri5:adjoint"].solver.adjoint_rtol == 0.1
    assert configs["dopri5:backprop"].solver.adjoint_rtol is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cases": ["rk4"]}, "METHOD:GRADIENT .such as rk4:backprop., resnet or classic, found"),
        ({"cases": ["classic,"]}, "found ''"),
        ({"cases": ["rk5:adjoint"]}, "--cases rk5:adjoint: unknown method 'rk5'; did you mean"),
        ({"cases": ["rk4:adjont"]}, "did you mean 'adjoint'"),
        ({"fix": {"solver.method": "rk4"}}, "no place in a comparison; use --cases"),
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
def test_wrong_questions(plan, tmp_path, options, said):
    with pytest.raises(UsageError, match=said):
        plan(**options)
    assert not (tmp_path / "runs").exists()


def test_every_case_is_trained_with_every_seed_once(plan, train):
    chosen = plan(seeds=2)
    end, tasks = train(chosen)
    assert (end.interrupted, end.outcomes) == (False, {Outcome.COMPLETED: 8})
    assert all(task.evaluate_test and task.budget_seconds is None for task, _ in tasks)
    assert [task.config["seed"] for task, _ in tasks] == [0] * 4 + [1] * 4
    run = load_run(chosen.folder)
    compared = load_compared(run)
    assert [case.name for case in compared.cases] == list(CLASSIC_CASES)
    assert {case.test.count for case in compared.cases} == {2}
    assert (compared.unfinished, compared.seeds, compared.test_images) == (0, 2, 359)
    assert run.manifest.state == "finished"


def test_the_same_question_goes_on_and_takes_more_cases_and_seeds(plan, train):
    chosen = plan(cases=["rk4:adjoint"])
    train(chosen)
    assert train(plan(cases=["rk4:adjoint"]))[1] == []
    _, tasks = train(plan(cases=["rk4:adjoint,euler:adjoint"], seeds=2))
    assert len(tasks) == 3
    assert [case.name for case in load_compared(load_run(chosen.folder)).cases] == [
        "rk4:adjoint", "euler:adjoint",
    ]  # fmt: skip
    assert plan(epochs=3).folder != chosen.folder
    assert plan(fix={"model.width": 8}).folder != chosen.folder


def test_a_name_belongs_to_one_question(plan, train, tmp_path):
    train(plan(name="mine", cases=["rk4:adjoint"]))
    with pytest.raises(UsageError, match="with another epochs; choose another --name"):
        plan(name="mine", epochs=3)
    (tmp_path / "runs" / "other").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        plan(name="other")


def test_killed_it_goes_on_by_its_run_alone(plan, train, monkeypatch):
    class Killed(BaseException):
        pass

    def with_checkpoint(task, report):
        (task.folder / LAST_CHECKPOINT).touch()
        return Events(task, report)

    chosen = plan(cases=["rk4:adjoint,euler:adjoint"])
    hear = ReplicationRunner.handle

    def die(self, word):
        if isinstance(word, TrialEnd) and self.running.spec.trial_id == "0002":
            raise Killed
        hear(self, word)

    with monkeypatch.context() as patch:
        patch.setattr(ReplicationRunner, "handle", die)
        # what a killed process does not do: write down that it was interrupted
        patch.setattr(ReplicationRunner, "close", lambda self: None)
        with pytest.raises(Killed):
            train(chosen, with_checkpoint)
    before = json.loads((chosen.folder / "trials/0001/outcome.json").read_text())
    _, tasks = train(plan_comparison(comparison_in(str(chosen.folder))))
    assert [(task.trial_id, task.attempt, first) for task, first in tasks] == [("0002", 2, False)]
    assert json.loads((chosen.folder / "trials/0001/outcome.json").read_text()) == before
    assert load_compared(load_run(chosen.folder)).unfinished == 0


def test_a_case_that_breaks_down_is_kept_and_the_rest_goes_on(plan, train):
    def odd(task, report):
        bad = task.config["solver"]["method"] == "rk4"
        return Events(task, report, ending=Outcome.DIVERGED if bad else Outcome.COMPLETED)

    chosen = plan()
    end, _ = train(chosen, odd)
    assert end.outcomes == {Outcome.COMPLETED: 3, Outcome.DIVERGED: 1}
    assert [case.name for case in load_compared(load_run(chosen.folder)).measured] == [
        "dopri5:backprop", "euler:adjoint", "dopri5:adjoint",
    ]  # fmt: skip


def test_a_search_is_no_comparison(make_search, tmp_path):
    make_search().folder.close()
    assert comparison_in(str(tmp_path / "run")) is None
    assert comparison_in(str(tmp_path / "nowhere")) is None


def test_a_run_that_was_moved_goes_on_where_it_is(plan, train, tmp_path):
    chosen = plan(cases=["rk4:adjoint"])
    train(chosen)
    moved = tmp_path / "elsewhere" / "moved"
    moved.parent.mkdir()
    chosen.folder.rename(moved)
    again = plan_comparison(comparison_in(str(moved)))
    assert (again.folder, train(again)[1]) == (moved, [])


def test_its_run_says_resume_command(plan, train):
    chosen = plan(cases=["rk4:adjoint"])
    train(chosen)
    folder = RunFolder(chosen.folder)
    folder.close()
    assert folder.resume_command == chosen.resume_command == f"tune-ode resume {chosen.folder}"
    assert TrialConfig.from_dict(folder.manifest.base).solver.method == "rk4"
