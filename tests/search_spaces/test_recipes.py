"""Recipes are valid configurations that say what they are."""

import pytest

from search_spaces import configure, resolve_space
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


OUT_OF_RANGE = {
    "model.stem.extra_layers",
    "schedule.milestones",
    "data.augmentation.saturation",
    "training.epochs",
}
"""Settings of the reference recipes that the full space does not search so far."""
NOT_SEARCHED = {"data.dataset", "data.mean", "data.std"}
"""A search has a data set of its own."""


@pytest.mark.parametrize("name", recipes())
def test_a_search_can_start_from_a_recipe(name):
    whole = dotted_paths(recipe(name).to_dict())
    point = resolve_space("full").point(recipe(name))
    started = dotted_paths(configure(TrialConfig(), point).to_dict())
    left = {path for path in whole if whole[path] != started[path]}
    # what lies outside its parameter's range is left to the sampler
    left_to_the_sampler = OUT_OF_RANGE if "data.dataset" in left else {"training.epochs"}
    assert left <= left_to_the_sampler | NOT_SEARCHED


def test_an_unknown_recipe_lists_them():
    with pytest.raises(ConfigurationError, match="did you mean 'classic'"):
        recipe("clasic")
