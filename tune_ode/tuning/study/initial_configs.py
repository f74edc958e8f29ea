"""Configurations that a search tries first, by recipe name or YAML file (`--start-from`)."""

from __future__ import annotations

from pathlib import Path

from search_spaces import Space
from search_spaces.recipes import recipe, recipes
from search_spaces.resolve import YAML_SUFFIXES
from tune_ode.config import TrialConfig
from tune_ode.config.yaml_files import read_yaml
from tune_ode.errors import UsageError, suggest_name

QUICK_RECIPES = ("fast", "fast-sgd")
"""Recipes that reach a good accuracy before the default configuration does."""


def quick_config(space: Space) -> TrialConfig:
    """Return the configuration that a search tries after the default one.

    This is the first quick recipe that the space contains, else the first quick recipe. If the
    space does not contain a recipe, the sampler draws missing values, such as a learning rate.
    """
    quick = [recipe(name) for name in QUICK_RECIPES]
    return next((config for config in quick if space.contains(config)), quick[0])


def initial_config(name: str) -> TrialConfig:
    """Return an initial configuration.

    Args:
        name: name of a recipe, or path of a YAML file.

    Raises:
        UsageError: unknown name, or invalid configuration.
    """
    path = Path(name)
    if path.suffix in YAML_SUFFIXES:
        return config_from_yaml(path)
    if name in recipes():
        return recipe(name)
    raise UsageError(
        f"no recipe or run of that name: {suggest_name('recipe', name, recipes())}, a file.yaml, "
        "or a run directory"
    )


def config_from_yaml(path: Path) -> TrialConfig:
    """Read a configuration from a YAML file.

    Raises:
        UsageError: the file is missing or its configuration is invalid.
    """
    values = read_yaml(path)
    try:
        return TrialConfig.from_dict(values)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
