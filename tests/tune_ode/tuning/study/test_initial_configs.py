"""Initial configurations from recipes and YAML files; test_warm_start.py covers runs."""

import pytest

from search_spaces.recipes import recipe
from tune_ode.errors import UsageError
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.plan import plan_search
from tune_ode.tuning.study.initial_configs import initial_config

pytestmark = pytest.mark.usefixtures("working_directory")


def test_a_recipe_is_found_by_name():
    assert initial_config("classic") == recipe("classic")


def test_a_configuration_is_read_from_a_file(tmp_path):
    (tmp_path / "mine.yaml").write_text("model: {width: 24}")
    assert initial_config(str(tmp_path / "mine.yaml")).model.width == 24
    (tmp_path / "mine.yaml").write_text("model: {widht: 24}")
    with pytest.raises(UsageError, match=r"mine.yaml: model.widht: no such field"):
        initial_config(str(tmp_path / "mine.yaml"))


def test_an_unknown_name_lists_the_recipes(tmp_path):
    with pytest.raises(UsageError, match="no recipe or run of that name.*valid: .*classic"):
        initial_config("nobody")
    with pytest.raises(UsageError, match="is not a run directory"):
        initial_config(str(tmp_path))


def test_start_points_contain_the_parameters_of_the_space():
    plan = plan_search(SearchOptions(start_from=["classic", "fast"], fix={"model.width": 32}))
    classic, fast = plan.start_points
    assert classic["solver.method"] == "dopri5"
    assert classic["solver.rtol"] == 1e-3
    assert fast["solver.steps@euler"] == 2
    assert "model.width" not in classic, "it is fixed"
    assert "training.epochs" not in classic, "160 is out of range: the sampler chooses"


def test_a_search_starts_from_the_default_configuration_and_then_fast():
    plan = plan_search(SearchOptions())
    default, fast = plan.start_points
    assert default == plan.space.point(plan.base)
    assert fast == plan.space.point(recipe("fast"))
    assert (fast["model.width"], fast["optimizer.name"]) == (48, "muon")


def test_another_quick_recipe_replaces_fast_if_the_space_does_not_contain_it():
    without_muon = plan_search(SearchOptions(restrict={"optimizer.name": "sgd|adamw"}))
    _, quick = without_muon.start_points
    assert quick == without_muon.space.point(recipe("fast-sgd"))
    assert quick["optimizer.learning_rate@sgd"] == 0.1
    neither = plan_search(SearchOptions(restrict={"optimizer.name": "adamw"}))
    assert neither.start_points[1] == neither.space.point(recipe("fast")), "the part in the space"
