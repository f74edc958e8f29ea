"""Options become a plan: defaults that depend on each other, absolute paths, one question again."""

import pytest

from tune_ode.config import TrialConfig
from tune_ode.errors import UsageError
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.plan import plan_search


@pytest.fixture
def make_plan(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return lambda **options: plan_search(SearchOptions(max_concurrent=1, **options))


@pytest.mark.parametrize(
    ("options", "trials", "seconds", "trial_seconds"),
    [
        ({}, None, 240, 40),  # one trial at a time here
        ({"trials": 10, "time_budget": 360}, 10, 360, 36),
        ({"trials": 10}, 10, None, 60),
        ({"time_budget": 120}, None, 120, 20),
        ({"time_budget": 600}, None, 600, 60),
        ({"trials": 1000, "time_budget": 60}, 1000, 60, 1),
        ({"trials": 5, "time_budget": 60, "trial_seconds": 7}, 5, 60, 7),
    ],
)
def test_a_trial_may_use_what_trials_and_time_leave_it(
    make_plan, options, trials, seconds, trial_seconds
):
    limits = make_plan(**options).budget
    assert (limits.trials, limits.seconds, limits.trial_seconds) == (trials, seconds, trial_seconds)


def test_what_is_fixed_is_in_every_trial_and_not_searched(make_plan):
    chosen = make_plan(fix={"solver.method": "dopri5", "training.epochs": 4}, seed=3)
    assert chosen.base.solver.method == "dopri5"
    names = {name for name, _, _ in chosen.space.walk()}
    assert "solver.rtol" in names
    assert not names & {"solver.method", "training.epochs"}
    assert chosen.base.data.split_seed == 3


def test_a_training_has_nothing_to_search(make_plan):
    chosen = make_plan(command="train")
    assert not list(chosen.space.walk())
    assert chosen.budget.trials == 1
    assert chosen.budget.trial_seconds is None


def test_a_question_comes_back_from_its_manifest(make_plan):
    fix = {"data.mean": [0.5], "data.std": [0.2]}
    question = make_plan(data_dir="d", output="o", trials=3, fix=fix).options
    assert SearchOptions.from_dict(question.to_dict()) == question
    assert question.resolved() == question, "its paths are absolute already"


def test_runs_get_names_that_are_free(make_plan, tmp_path):
    first = make_plan().run_folder
    first.mkdir(parents=True)
    assert make_plan().run_folder != first
    assert first.name.startswith("digits-quick-")
    assert make_plan(command="train").run_folder.name.startswith("digits-train-")
    with pytest.raises(UsageError, match="tune-ode resume"):
        make_plan(name=first.name)


def test_a_configuration_that_does_not_fit_the_images_is_refused(make_plan):
    with pytest.raises(UsageError, match=r"fewer model.stem.stages \(now 2\)"):
        make_plan(fix={"model.stem.stages": 2})


def test_the_base_of_a_run_wins_over_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "cache"))
    base = TrialConfig().with_values({"model.width": 8, "seed": 5})
    assert plan_search(SearchOptions(), base=base, run_folder=tmp_path).base == base


def test_a_fixed_setting_may_exist_under_some_options_only(make_plan):
    chosen = make_plan(fix={"solver.rtol": 0.01, "optimizer.momentum": 0.8})
    assert chosen.base.solver.method == "rk4"
    assert chosen.base.optimizer.momentum == 0.8
    assert "solver.rtol" not in chosen.space.names
    with pytest.raises(UsageError, match=r"solver.rtol is not a field of solver.method=rk4"):
        make_plan(space="training", fix={"solver.rtol": 0.01})


def test_a_space_is_narrowed_then_fitted_to_the_images(make_plan):
    chosen = make_plan(space="architecture", restrict={"model.width": "16|32", "model.blocks": "2"})
    assert "model.width" in chosen.space.names
    assert "model.blocks" not in chosen.space.names
    assert "model.stem.stages@padded is null | 1: the images are 8×8" in chosen.notes


def test_values_that_exclude_each_other_are_refused_before_a_search(make_plan):
    with pytest.raises(UsageError, match=r"cannot be trained.*solver.gradient=backprop"):
        make_plan(fix={"model.ode.normalization": "batch"})
