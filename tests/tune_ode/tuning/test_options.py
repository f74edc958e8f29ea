"""Options become a plan: dependent defaults, absolute paths, round trip through a manifest."""

import pytest

from tune_ode.config import TrialConfig
from tune_ode.errors import UsageError
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.plan import plan_search


@pytest.fixture
def make_plan(working_directory):
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
def test_the_budget_of_a_trial_follows_from_trials_and_time(
    make_plan, options, trials, seconds, trial_seconds
):
    budget = make_plan(**options).budget
    assert (budget.trials, budget.seconds, budget.trial_seconds) == (trials, seconds, trial_seconds)


def test_fixed_fields_are_in_the_base_and_not_searched(make_plan):
    plan = make_plan(fix={"solver.method": "dopri5", "training.epochs": 4}, seed=3)
    assert plan.base.solver.method == "dopri5"
    names = {name for name, _, _ in plan.space.walk()}
    assert "solver.rtol" in names
    assert not names & {"solver.method", "training.epochs"}
    assert plan.base.data.split_seed == 3


def test_train_has_no_parameters_to_search(make_plan):
    plan = make_plan(command="train")
    assert not list(plan.space.walk())
    assert plan.budget.trials == 1
    assert plan.budget.trial_seconds is None


def test_options_round_trip_through_the_manifest(make_plan):
    fix = {"data.mean": [0.5], "data.std": [0.2]}
    options = make_plan(data_dir="d", output="o", trials=3, fix=fix).options
    assert SearchOptions.from_dict(options.to_dict()) == options
    assert options.resolved() == options, "paths are absolute"


def test_new_runs_get_unused_names(make_plan, tmp_path):
    first = make_plan().run_folder
    first.mkdir(parents=True)
    assert make_plan().run_folder != first
    assert first.name.startswith("digits-quick-")
    assert make_plan(command="train").run_folder.name.startswith("digits-train-")
    with pytest.raises(UsageError, match="tune-ode resume"):
        make_plan(name=first.name)


def test_a_configuration_that_does_not_fit_the_images_is_rejected(make_plan):
    with pytest.raises(UsageError, match=r"fewer model.stem.stages \(now 2\)"):
        make_plan(fix={"model.stem.stages": 2})


def test_the_base_of_a_run_overrides_the_default(tmp_path, working_directory):
    base = TrialConfig().with_values({"model.width": 8, "seed": 5})
    assert plan_search(SearchOptions(), base=base, run_folder=tmp_path).base == base


def test_a_fixed_field_may_exist_for_some_variants_only(make_plan):
    plan = make_plan(fix={"solver.rtol": 0.01, "optimizer.momentum": 0.8})
    assert plan.base.solver.method == "rk4"
    assert plan.base.optimizer.momentum == 0.8
    assert "solver.rtol" not in plan.space.names
    with pytest.raises(UsageError, match=r"solver.rtol is not a field of solver.method=rk4"):
        make_plan(space="training", fix={"solver.rtol": 0.01})


def test_a_space_is_restricted_then_fitted_to_the_images(make_plan):
    plan = make_plan(space="architecture", restrict={"model.width": "16|32", "model.blocks": "2"})
    assert "model.width" in plan.space.names
    assert "model.blocks" not in plan.space.names
    assert "model.stem.stages@padded is null | 0 | 1: the images are 8×8" in plan.notes


def test_incompatible_values_are_rejected_before_a_search(make_plan):
    with pytest.raises(UsageError, match=r"invalid points.*solver.gradient=backprop"):
        make_plan(fix={"model.ode.normalization": "batch"})


@pytest.mark.parametrize(
    ("options", "note"),
    [
        (
            {"start_from": ["fast"], "restrict": {"model.width": "8|16"}},
            "starting with fast: outside the space, drawn instead: model.width 48",
        ),
        (
            {"start_from": ["fast"], "fix": {"training.batch_size": 32}},
            "starting with fast: not searched: training.batch_size 64 → 32",
        ),
        (
            {"start_from": ["mine.yaml"], "restrict": {"optimizer.learning_rate": "0.2..0.4"}},
            "starting with mine.yaml: outside the space, drawn instead: optimizer.learning_rate "
            "0.1; not searched: training.gradient_clip 2.0 → null",
        ),
        (
            {"restrict": {"optimizer.learning_rate": "0.2..0.4"}},
            "starting with the default configuration: outside the space, drawn instead: "
            "optimizer.learning_rate 0.1",
        ),
    ],
)
def test_a_changed_starting_point_is_described(make_plan, tmp_path, options, note):
    (tmp_path / "mine.yaml").write_text("training: {gradient_clip: 2.0}")
    assert note in make_plan(**options).notes


def test_unchanged_starting_points_need_no_note(make_plan):
    assert make_plan().notes == make_plan(start_from=["fast"]).notes == ()
