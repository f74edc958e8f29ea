"""Recipes are valid configurations that say what they are."""

import pytest

from search_spaces import configure, find_space
from search_spaces.recipes import about, recipe, recipes
from tune_ode.config import TrialConfig
from tune_ode.config.model import stem_sizes
from tune_ode.config.trial import dotted_paths
from tune_ode.errors import ConfigurationError


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_fits_images_of_every_size(name):
    for size in (8, 28, 32, 64):
        assert stem_sizes(recipe(name).model.stem, size)
    assert about(name)
    assert recipes()[name].startswith(f"# {about(name)}\n")


def test_the_default_recipe_is_the_default_configuration():
    assert recipe("default") == TrialConfig()


@pytest.mark.parametrize("name", recipes())
def test_a_search_can_start_from_a_recipe(name):
    # what lies outside its parameter's range is left to the sampler: that may be the length alone
    whole = dotted_paths(recipe(name).to_dict())
    point = find_space("full").point(recipe(name))
    started = dotted_paths(configure(TrialConfig(), point).to_dict())
    assert {path for path in whole if whole[path] != started[path]} <= {"training.epochs"}


def test_an_unknown_recipe_lists_them():
    with pytest.raises(ConfigurationError, match="did you mean 'classic'"):
        recipe("clasic")
