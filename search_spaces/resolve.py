"""Resolve the name of a space: a preset, a YAML file, or an object in a module."""

from __future__ import annotations

from pathlib import Path

from search_spaces.presets import PRESETS
from search_spaces.serialization import from_dict
from search_spaces.space import Space
from tune_ode.config.yaml_files import read_yaml
from tune_ode.errors import ConfigurationError, suggest_name
from tune_ode.user_code import import_object

YAML_SUFFIXES = {".yaml", ".yml"}


def resolve_space(name: str) -> Space:
    """Return the space that a name stands for.

    Args:
        name: a preset, the path of a YAML file, or `package.module:NAME`, which is also searched
            for in the current directory.

    Raises:
        UsageError: no such space, or an invalid one; names the file.
    """
    if Path(name).suffix in YAML_SUFFIXES:
        values = read_yaml(Path(name))
        try:
            return from_dict(values)
        except ConfigurationError as error:
            raise ConfigurationError(f"{name}: {error}") from None
    if ":" in name:
        space: Space = import_object(name, Space)
        return space
    if name not in PRESETS:
        raise ConfigurationError(
            f"{suggest_name('space', name, PRESETS)}, a file.yaml, or package.module:NAME"
        )
    return PRESETS[name][0]


def space_label(name: str) -> str:
    """Return a space's name without directory, module and suffix, for the name of a run."""
    return Path(name).stem if Path(name).suffix in YAML_SUFFIXES else name.rpartition(":")[2]
