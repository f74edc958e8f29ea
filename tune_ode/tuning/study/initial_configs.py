"""Configurations known to be good, by name, which a search tries first: `--start-from`.

An earlier run is more than that; see `transfer`.
"""

from __future__ import annotations

from pathlib import Path

from search_spaces import Space
from search_spaces.recipes import recipe, recipes
from search_spaces.resolve import YAML_SUFFIXES
from tune_ode.config import TrialConfig
from tune_ode.config.yaml_files import read_yaml
from tune_ode.errors import UsageError, suggest_name

QUICK_RECIPES = ("fast", "fast-sgd")
"""Recipes that have an answer while the default configuration is still at it."""


def quick_config(space: Space) -> TrialConfig:
    """Return what a search tries second, behind the default configuration.

    The first of the quick recipes that is a point of the space: of one that is not, chance would
    fill in what is missing, such as a learning rate. Where none is, the first all the same.
    """
    quick = [recipe(name) for name in QUICK_RECIPES]
    return next((one for one in quick if space.contains(one)), quick[0])


def initial_config(name: str) -> TrialConfig:
    """Return a configuration to start from.

    Args:
        name: of a recipe, or the path of a YAML file.

    Raises:
        QuestionError: there is none of that name, or it is no valid configuration.
    """
    path = Path(name)
    if path.suffix in YAML_SUFFIXES:
        return config_from_yaml(path)
    if name in recipes():
        return recipe(name)
    raise UsageError(
        f"no recipe or run of that name: {suggest_name('recipe', name, recipes())}, a file.yaml, "
        "or a run's folder"
    )


def config_from_yaml(path: Path) -> TrialConfig:
    """Return the configuration that a YAML file holds.

    Raises:
        QuestionError: no such file, or no valid configuration in it; names the file.
    """
    values = read_yaml(path)
    try:
        return TrialConfig.from_dict(values)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
