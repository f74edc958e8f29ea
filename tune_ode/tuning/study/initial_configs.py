"""Configurations that a search tries first, by recipe name or YAML file (`--start-from`)."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from search_spaces import Fixed, Space, configure
from search_spaces.parameters import format_value
from search_spaces.recipes import recipe, recipes
from search_spaces.resolve import YAML_SUFFIXES
from tune_ode.catalog.find import RUNS, resolve_run, runs_in
from tune_ode.config import TrialConfig
from tune_ode.config.trial import dotted_paths
from tune_ode.config.yaml_files import read_yaml
from tune_ode.errors import ConfigurationError, UsageError, suggest_name

QUICK_RECIPES = ("fast", "fast-sgd")
"""Recipes that reach a good accuracy before the default configuration does."""
_MOST_LISTED = 6


def quick_config(space: Space) -> TrialConfig:
    """Return the configuration that a search tries after the default one.

    This is the first quick recipe that the space contains, else the first quick recipe. If the
    space does not contain a recipe, the sampler draws missing values, such as a learning rate.
    """
    quick = [recipe(name) for name in QUICK_RECIPES]
    return next((config for config in quick if not space.outside(config)), quick[0])


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
    if ":" in name or path.is_dir():
        resolve_run(name, command="--start-from")
    names = [*recipes(), *(run.name for run, _ in runs_in(Path(RUNS)))]
    raise UsageError(
        f"no recipe or run of that name: {suggest_name('recipe', name, names)}, a file.yaml, or a "
        "run directory"
    )


def note_on_start(name: str, config: TrialConfig, space: Space, base: TrialConfig) -> list[str]:
    """Return a line on what a search changes in an initial configuration, if anything.

    Args:
        name: of the configuration.
        config: what it sets.
        space: values outside their range are drawn by the sampler.
        base: has the value of each field that is not searched.
    """
    given = dotted_paths(config.to_dict())
    outside = space.outside(config)
    fixed = {path: p.value for path, p in space.parameters.items() if isinstance(p, Fixed)}
    with contextlib.suppress(ConfigurationError):  # else the proposal is rejected
        base = configure(base, fixed | space.point(config))
    tried = dotted_paths(base.to_dict())
    drawn = [f"{path} {format_value(value)}" for path, value in outside.items() if path in given]
    replaced = [
        f"{path} {format_value(value)} → {format_value(tried[path])}"
        for path, value in given.items()
        if path not in outside
        and tried.get(path, value) != value
        and path != "seed"
        and not path.startswith("data.")
    ]
    parts = [f"outside the space, drawn instead: {_listed(drawn)}"] if drawn else []
    parts += [f"not searched: {_listed(replaced)}"] if replaced else []
    return [f"starting with {name}: {'; '.join(parts)}"] if parts else []


def _listed(items: Sequence[str]) -> str:
    more = len(items) - _MOST_LISTED
    return ", ".join(items[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


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
