"""Default directories of data and caches."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from tune_ode.errors import DataError
from tune_ode.paths import expand_home

DATA_VARIABLE = "TUNE_ODE_DATA"
CACHE_VARIABLE = "TUNE_ODE_CACHE"


def data_folder(given: str | Path | None) -> Path:
    """Return the given directory, `TUNE_ODE_DATA`, or `tune-ode` in the user's data directory.

    Without a home directory, it is in a private temporary directory.
    """
    if given is not None:
        return absolute(Path(given))
    return _user_folder(DATA_VARIABLE, "XDG_DATA_HOME", ".local/share", _is_readable)


def requested_data_folder(given: str | None) -> str | None:
    """Return the given directory or `TUNE_ODE_DATA`; None if neither asks for one."""
    requested = given or os.environ.get(DATA_VARIABLE)
    return str(absolute(Path(requested))) if requested else None


def cache_folder() -> Path:
    """Return `TUNE_ODE_CACHE`, or `tune-ode` in the user's cache directory.

    If that cannot be written, it is in a private temporary directory.
    """
    return _user_folder(CACHE_VARIABLE, "XDG_CACHE_HOME", ".cache", _is_writable)


def absolute(path: Path) -> Path:
    """Resolve `~`, symbolic links and relative paths."""
    try:
        return expand_home(path).resolve()
    except (RuntimeError, OSError, ValueError) as error:  # a circular link, a null character
        raise DataError(f"{path} cannot be resolved: {error}; give an absolute path") from error


def _user_folder(variable: str, xdg: str, fallback: str, is_usable: Callable[[Path], bool]) -> Path:
    """See the XDG Base Directory Specification."""
    if value := os.environ.get(variable):
        return absolute(Path(value))
    folder = Path(os.path.expanduser(os.environ.get(xdg) or f"~/{fallback}"), "tune-ode")
    if folder.is_absolute() and is_usable(folder):
        return absolute(folder)
    return _private_folder(variable) / Path(fallback).name


def _is_readable(folder: Path) -> bool:
    """Return whether a directory exists, or can be created for downloads."""
    existing = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    return existing == folder or os.access(existing, os.W_OK | os.X_OK)


def _is_writable(folder: Path) -> bool:
    """Return whether files can be written in a directory, which is created."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _private_folder(variable: str) -> Path:
    folder = Path(tempfile.gettempdir(), f"tune-ode-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        info = folder.lstat()
    except OSError as error:
        raise DataError(f"no home directory, and {error}; set {variable} to a directory") from error
    # another user may have created it
    if info.st_uid != os.getuid() or not stat.S_ISDIR(info.st_mode) or info.st_mode & 0o077:
        raise DataError(
            f"no home directory, and {folder} is not private; set {variable} to a directory"
        )
    return folder
