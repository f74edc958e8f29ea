"""A search starts from recipes, from configurations in files, and from the best of a run."""

import pytest

from search_spaces.recipes import recipe
from tune_ode.config import TrialConfig
from tune_ode.errors import QuestionError
from tune_ode.records import CONFIG, TRIALS, read_json
from tune_ode.tuning.question import Question, plan
from tune_ode.tuning.starting_points import BEST_OF_A_RUN, starting_points


def test_a_recipe_by_its_name():
    assert starting_points("classic") == [recipe("classic").to_dict()]


def test_a_configuration_in_a_file(tmp_path):
    (tmp_path / "mine.yaml").write_text("model: {width: 24}")
    (found,) = starting_points(str(tmp_path / "mine.yaml"))
    assert TrialConfig.from_dict(found).model.width == 24
    (tmp_path / "mine.yaml").write_text("model: {widht: 24}")
    with pytest.raises(QuestionError, match=r"mine.yaml: model.widht: there is no such setting"):
        starting_points(str(tmp_path / "mine.yaml"))


def test_the_best_of_a_run_come_first(make_search, drive):
    search = make_search(trials=9)
    drive(search)
    search.close()
    run = search.folder.path
    found = starting_points(str(run))
    assert 1 <= len(found) <= BEST_OF_A_RUN
    configs = [read_json(folder / CONFIG)["config"] for folder in (run / TRIALS).iterdir()]
    assert all(config in configs for config in found)


def test_a_name_of_nothing_lists_the_recipes(tmp_path):
    with pytest.raises(QuestionError, match="no recipe or run of that name.*valid: classic"):
        starting_points("nobody")
    with pytest.raises(QuestionError, match="no recipe or run"):
        starting_points(str(tmp_path))


def test_a_plan_starts_from_the_points_that_its_space_takes(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    chosen = plan(Question(start_from=["classic", "fast"], fix={"model.width": 32}))
    classic, fast = chosen.starting_points
    assert classic["solver.method"] == "dopri5"
    assert classic["solver.rtol"] == 1e-3
    assert fast["solver.steps@euler"] == 2
    assert "model.width" not in classic, "it is fixed"
    assert "training.epochs" not in classic, "160 is out of range: the sampler's choice"
