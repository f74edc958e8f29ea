"""Recipes: configurations known to train well, to train or to start a search from.

Each is a YAML file in this directory; its first line is a summary.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from tune_ode.config import TrialConfig
from tune_ode.config.yaml_files import parse_yaml
from tune_ode.errors import ConfigurationError, suggest_name


@cache
def recipes() -> Mapping[str, str]:
    """Return name → YAML text of every recipe."""
    found = {
        file.name.removesuffix(".yaml"): file.read_text(encoding="utf-8")
        for file in files(__name__).iterdir()
        if file.name.endswith(".yaml")
    }
    return MappingProxyType(dict(sorted(found.items())))


def recipe(name: str) -> TrialConfig:
    """Return a recipe's configuration.

    Raises:
        ConfigurationError: no recipe has that name.
    """
    return TrialConfig.from_dict(parse_yaml(recipe_text(name), name) or {})


def recipe_text(name: str) -> str:
    """Return a recipe's YAML text.

    Raises:
        ConfigurationError: no recipe has that name.
    """
    if name not in recipes():
        raise ConfigurationError(suggest_name("recipe", name, recipes()))
    return recipes()[name]


def summary(name: str) -> str:
    """Return a recipe's one-line summary."""
    return recipe_text(name).partition("\n")[0].removeprefix("# ")
