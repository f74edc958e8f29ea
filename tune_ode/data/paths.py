"""Default directories of data and caches."""

from __future__ import annotations

import os
from pathlib import Path

from tune_ode.errors import DataError

DATA_VARIABLE = "TUNE_ODE_DATA"
CACHE_VARIABLE = "TUNE_ODE_CACHE"


def data_folder(given: str | Path | None) -> Path:
    """Return the given directory, `TUNE_ODE_DATA`, or `tune-ode` in the user's data directory."""
    if given is not None:
        return absolute(Path(given))
    return _user_folder(DATA_VARIABLE, "XDG_DATA_HOME", ".local/share")


def requested_data_folder(given: str | None) -> str | None:
    """Return the given directory or `TUNE_ODE_DATA`; None if neither asks for one."""
    requested = given or os.environ.get(DATA_VARIABLE)
    return str(absolute(Path(requested))) if requested else None


def cache_folder() -> Path:
    """Return `TUNE_ODE_CACHE`, or `tune-ode` in the user's cache directory."""
    return _user_folder(CACHE_VARIABLE, "XDG_CACHE_HOME", ".cache")


def absolute(path: Path) -> Path:
    """Resolve `~`, symbolic links and relative paths."""
    try:
        return path.expanduser().resolve()
    except (RuntimeError, OSError) as error:  # unknown user; a circular link
        raise DataError(f"{path} cannot be resolved: {error}; give an absolute path") from error


def _user_folder(variable: str, xdg: str, fallback: str) -> Path:
    """See the XDG Base Directory Specification."""
    if value := os.environ.get(variable):
        return absolute(Path(value))
    base = os.environ.get(xdg) or f"~/{fallback}"
    try:
        return absolute(Path(base)) / "tune-ode"
    except DataError as error:
        raise DataError(f"{error} in {variable}") from error
