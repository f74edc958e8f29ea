"""Recipes are valid configurations with a summary."""

import pytest

from search_spaces import configure, resolve_space
from search_spaces.recipes import recipe, recipes, summary
from tune_ode.config import TrialConfig
from tune_ode.config.model import stem_sizes
from tune_ode.config.trial import dotted_paths
from tune_ode.errors import ConfigurationError


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_is_valid_for_images_of_every_size(name):
    for size in (8, 28, 32, 64):
        assert stem_sizes(recipe(name).model.stem, size)
    assert summary(name)
    assert recipes()[name].startswith(f"# {summary(name)}\n")


def test_the_default_recipe_is_the_default_configuration():
    assert recipe("default") == TrialConfig()


OUT_OF_RANGE = {
    "model.stem.extra_layers",
    "schedule.milestones",
    "data.augmentation.saturation",
    "training.epochs",
}
"""Fields of the reference recipes whose values are outside the full space."""
NOT_SEARCHED = {"data.dataset", "data.mean", "data.std"}
"""Fields that a search sets itself."""


@pytest.mark.parametrize("name", recipes())
def test_a_search_can_start_from_a_recipe(name):
    fields = dotted_paths(recipe(name).to_dict())
    point = resolve_space("full").point(recipe(name))
    started = dotted_paths(configure(TrialConfig(), point).to_dict())
    left = {path for path in fields if fields[path] != started[path]}
    # the sampler fills values outside their parameter's range
    left_to_the_sampler = OUT_OF_RANGE if "data.dataset" in left else {"training.epochs"}
    assert left <= left_to_the_sampler | NOT_SEARCHED


def test_an_unknown_recipe_suggests_a_name():
    with pytest.raises(ConfigurationError, match="did you mean 'classic'"):
        recipe("clasic")
