"""Where data and caches lie: a variable, or the user's folder for such things."""

from __future__ import annotations

import os
from pathlib import Path

from tune_ode.errors import DataError

DATA_VARIABLE = "TUNE_ODE_DATA"
CACHE_VARIABLE = "TUNE_ODE_CACHE"


def data_folder(given: Path | None) -> Path:
    """Return the given folder, `TUNE_ODE_DATA`, or `tune-ode` under the user's data folder."""
    if given is not None:
        return absolute(given)
    return _user_folder(DATA_VARIABLE, "XDG_DATA_HOME", ".local/share")


def cache_folder() -> Path:
    """Return `TUNE_ODE_CACHE`, or `tune-ode` under the user's cache folder."""
    return _user_folder(CACHE_VARIABLE, "XDG_CACHE_HOME", ".cache")


def absolute(path: Path) -> Path:
    """Resolve `~`, symbolic links, and what is relative to the current folder."""
    try:
        return path.expanduser().resolve()
    except (RuntimeError, OSError) as error:  # no such user; a link that leads to itself
        raise DataError(f"{path} cannot be resolved: {error}; give an absolute path") from error


def _user_folder(variable: str, xdg: str, fallback: str) -> Path:
    """See the XDG Base Directory Specification."""
    if chosen := os.environ.get(variable):
        return absolute(Path(chosen))
    base = os.environ.get(xdg) or f"~/{fallback}"
    try:
        return absolute(Path(base)) / "tune-ode"
    except DataError as error:
        raise DataError(f"{error} in {variable}") from error
