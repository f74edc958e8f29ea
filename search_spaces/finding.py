"""What the name of a space stands for: a ready-made one, a YAML file, or one in a module."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from search_spaces.presets import PRESETS
from search_spaces.space import Space
from tune_ode.config.yaml_files import read_yaml
from tune_ode.errors import ConfigurationError, unknown_name

YAML_SUFFIXES = {".yaml", ".yml"}


def find_space(name: str) -> Space:
    """Return the space that a name stands for.

    Args:
        name: of a ready-made space; or a YAML file's path; or `package.module:NAME`, found from
            the current folder too.

    Raises:
        ConfigurationError: no such space, or one that is not valid; names the file.
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
        return _imported(*name.split(":", 1))
    if name not in PRESETS:
        raise ConfigurationError(
            f"{unknown_name('space', name, PRESETS)}, a file.yaml, or package.module:NAME"
        )
    return PRESETS[name][0]


def label(name: str) -> str:
    """Return what to call a run over a space: the name without folder, module and suffix."""
    return Path(name).stem if Path(name).suffix in YAML_SUFFIXES else name.rpartition(":")[2]


def _imported(module_name: str, name: str) -> Space:
    here = os.getcwd()
    sys.path.append(here)  # last, so that a file here hides no package
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever a module does when it is imported
        raise ConfigurationError(
            f"cannot import {module_name}: {type(error).__name__}: {error}; a space in Python is "
            "named package.module:NAME"
        ) from None
    finally:
        sys.path.remove(here)
    space = getattr(module, name, None)
    if not isinstance(space, Space):
        found = [known for known, value in vars(module).items() if isinstance(value, Space)]
        raise ConfigurationError(unknown_name(f"Space in {module_name}", name, found or ["none"]))
    return space
