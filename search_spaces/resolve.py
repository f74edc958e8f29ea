"""What the name of a space stands for: a ready-made one, a YAML file, or one in a module."""

from __future__ import annotations

from pathlib import Path

from search_spaces.presets import PRESETS
from search_spaces.space import Space
from tune_ode.config.yaml_files import read_yaml
from tune_ode.errors import ConfigurationError, suggest_name
from tune_ode.user_code import import_object

YAML_SUFFIXES = {".yaml", ".yml"}


def resolve_space(name: str) -> Space:
    """Return the space that a name stands for.

    Args:
        name: of a ready-made space; or a YAML file's path; or `package.module:NAME`, found from
            the current folder too.

    Raises:
        UsageError: no such space, or one that is not valid; names the file.
    """
    if Path(name).suffix in YAML_SUFFIXES:
        try:
            return Space.from_dict(read_yaml(Path(name)))
        except ConfigurationError as error:
            message = str(error)
            raise ConfigurationError(
                message if str(Path(name)) in message else f"{name}: {message}"
            ) from None
    if ":" in name:
        space: Space = import_object(name, Space)
        return space
    if name not in PRESETS:
        raise ConfigurationError(
            f"{suggest_name('space', name, PRESETS)}, a file.yaml, or package.module:NAME"
        )
    return PRESETS[name][0]


def label(name: str) -> str:
    """Return what to call a run over a space: the name without folder, module and suffix."""
    return Path(name).stem if Path(name).suffix in YAML_SUFFIXES else name.rpartition(":")[2]
