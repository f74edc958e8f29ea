"""Configurations known to be good, by name, which a search tries first: `--start-from`.

An earlier run is more than that; see `transfer`.
"""

from __future__ import annotations

from pathlib import Path

from search_spaces import Space
from search_spaces.finding import YAML_SUFFIXES
from search_spaces.recipes import recipe, recipes
from tune_ode.config import TrialConfig
from tune_ode.config.yaml_files import read_yaml
from tune_ode.errors import QuestionError, unknown_name

QUICK_STARTS = ("fast", "fast-sgd")
"""Recipes that have an answer while the default configuration is still at it."""


def quick_start(space: Space) -> TrialConfig:
    """Return what a search tries second, behind the default configuration.

    The first of the quick recipes that is a point of the space: of one that is not, chance would
    fill in what is missing, such as a learning rate. Where none is, the first all the same.
    """
    quick = [recipe(name) for name in QUICK_STARTS]
    return next((one for one in quick if space.holds(one)), quick[0])


def starting_point(name: str) -> TrialConfig:
    """Return a configuration to start from.

    Args:
        name: of a recipe, or the path of a YAML file.

    Raises:
        QuestionError: there is none of that name, or it is no valid configuration.
    """
    path = Path(name)
    if path.suffix in YAML_SUFFIXES:
        return configuration_of(path)
    if name in recipes():
        return recipe(name)
    raise QuestionError(
        f"no recipe or run of that name: {unknown_name('recipe', name, recipes())}, a file.yaml, "
        "or a run's folder"
    )


def configuration_of(path: Path) -> TrialConfig:
    """Return the configuration that a YAML file holds.

    Raises:
        QuestionError: no such file, or no valid configuration in it; names the file.
    """
    values = read_yaml(path)
    try:
        return TrialConfig.from_dict(values)
    except QuestionError as error:
        raise QuestionError(f"{path}: {error}") from None
