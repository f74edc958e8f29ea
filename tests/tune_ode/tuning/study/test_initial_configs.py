"""A search starts from recipes and from configurations in files; from runs: see test_transfer."""

import pytest

from search_spaces.recipes import recipe
from tune_ode.errors import UsageError
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.plan import plan
from tune_ode.tuning.study.initial_configs import initial_config


def test_a_recipe_by_its_name():
    assert initial_config("classic") == recipe("classic")


def test_a_configuration_in_a_file(tmp_path):
    (tmp_path / "mine.yaml").write_text("model: {width: 24}")
    assert initial_config(str(tmp_path / "mine.yaml")).model.width == 24
    (tmp_path / "mine.yaml").write_text("model: {widht: 24}")
    with pytest.raises(UsageError, match=r"mine.yaml: model.widht: there is no such setting"):
        initial_config(str(tmp_path / "mine.yaml"))


def test_a_name_of_nothing_lists_the_recipes(tmp_path):
    with pytest.raises(UsageError, match="no recipe or run of that name.*valid: .*classic"):
        initial_config("nobody")
    with pytest.raises(UsageError, match="no recipe or run"):
        initial_config(str(tmp_path))


def test_a_plan_starts_from_the_points_that_its_space_takes(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    chosen = plan(SearchOptions(start_from=["classic", "fast"], fix={"model.width": 32}))
    classic, fast = chosen.start_points
    assert classic["solver.method"] == "dopri5"
    assert classic["solver.rtol"] == 1e-3
    assert fast["solver.steps@euler"] == 2
    assert "model.width" not in classic, "it is fixed"
    assert "training.epochs" not in classic, "160 is out of range: the sampler's choice"


def test_where_nothing_is_named_it_starts_from_the_default_and_then_from_fast(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    chosen = plan(SearchOptions())
    default, fast = chosen.start_points
    assert default == chosen.space.point(chosen.base)
    assert fast == chosen.space.point(recipe("fast"))
    assert (fast["model.width"], fast["optimizer.name"]) == (48, "muon"), "all of it fits"


def test_where_fast_would_be_filled_by_chance_another_quick_recipe_is_tried(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    without_muon = plan(SearchOptions(narrow={"optimizer.name": "sgd|adamw"}))
    _, quick = without_muon.start_points
    assert quick == without_muon.space.point(recipe("fast-sgd"))
    assert quick["optimizer.learning_rate@sgd"] == 0.1
    neither = plan(SearchOptions(narrow={"optimizer.name": "adamw"}))
    assert neither.start_points[1] == neither.space.point(recipe("fast")), "what fits of it"
