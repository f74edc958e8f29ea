"""Find a run by its path or URL, by its name in `runs/`, or as the `latest` of a folder."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Any, TypeGuard

from tune_ode.errors import RunFolderError, UsageError
from tune_ode.paths import RunPath, display_path, map_io, persistent_path, run_path, shell_quoted
from tune_ode.records import MANIFEST, InvalidRecord, read_json
from tune_ode.text import pluralize

RUNS = "runs"
"""Default parent of run directories, where a bare name is looked up."""
LATEST = "latest"
"""Name that stands for the run that was started last; `FOLDER/latest` for that of a folder."""
_MOST_LISTED = 5


def checked_name(name: str) -> str:
    """Return a valid name of a new run.

    Raises:
        UsageError: it is not the name of one directory, or is reserved.
    """
    if name == LATEST:
        raise UsageError(f"--name {LATEST} stands for the last run; choose another name")
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UsageError(
            f"--name must be letters, digits, '_', '-' and '.', found '{name}'; --output names the "
            "folder of the run"
        )
    return name


def resolve_run(run: str | RunPath, *, persistent: bool = False, command: str = "") -> RunPath:
    """Return the run that a user names.

    Args:
        run: a path or URL, the name of a run in `runs/`, `latest`, or `FOLDER/latest`.
        persistent: whether to require a URL that can be stored, for runs to write to.
        command: command line without the run, for the remedy in the error message.

    Raises:
        RunFolderError: there is no such run, or its store is unavailable.
    """
    if (found := find_run(run, persistent=persistent)) is None:
        raise RunFolderError(_not_found(run_path(run), command))
    return found


def find_run(run: str | RunPath, *, persistent: bool = False) -> RunPath | None:
    """Return the run that a user names, or None if there is none; see `resolve_run`.

    Raises:
        RunFolderError: the URL is invalid, or its store is unavailable.
    """
    path = persistent_path(run) if persistent else run_path(run)
    if is_run(path):
        return path
    if path.name == LATEST:
        return _latest(runs_in(_folder(path)))
    if _is_name(path) and is_run(named := Path(RUNS, path)):
        return named
    return None


def is_run(path: RunPath) -> bool:
    """Return whether a directory, or a prefix of a store, is a run."""
    try:
        return (path / MANIFEST).exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def run_paths(folder: RunPath) -> list[RunPath]:
    """Return what is directly in a folder, by name, without hidden names; not all are runs.

    Raises:
        RunFolderError: the folder cannot be read.
    """
    if isinstance(folder, Path) and not os.path.isdir(folder):
        return []
    try:
        paths: list[RunPath] = list(folder.iterdir())
    except OSError as error:
        raise RunFolderError(f"cannot read {folder}: {error.strerror}") from None
    visible = (path for path in paths if not path.name.startswith("."))
    return sorted(visible, key=lambda path: path.name)


def runs_in(folder: RunPath) -> list[tuple[RunPath, dict[str, Any]]]:
    """Return the runs directly in a folder, by name, with their manifests as read.

    The manifest of a run that is damaged is empty.

    Raises:
        RunFolderError: the folder cannot be read.
    """
    paths = run_paths(folder)
    return [
        (path, manifest)
        for path, manifest in zip(paths, map_io(_manifest, paths, where=folder), strict=True)
        if manifest is not None
    ]


def _manifest(run: RunPath) -> dict[str, Any] | None:
    """Return the manifest of a run, empty if it is damaged; None if the path is not a run."""
    try:
        return read_json(run / MANIFEST) or ({} if is_run(run) else None)
    except NotADirectoryError:
        return None
    except (OSError, InvalidRecord):
        return {}


def _latest(runs: list[tuple[RunPath, dict[str, Any]]]) -> RunPath | None:
    """Return the run that was started last."""
    started = [(manifest.get("created"), run) for run, manifest in runs]
    times = [(time if isinstance(time, int | float) else 0.0, run) for time, run in started]
    return max(times, key=lambda pair: pair[0])[1] if times else None


def _folder(path: RunPath) -> RunPath:
    """Return the folder that a path without one is in."""
    return Path(RUNS) if _is_name(path) else path.parent


def _is_name(path: RunPath) -> TypeGuard[Path]:
    return isinstance(path, Path) and len(path.parts) == 1 and not path.is_absolute()


def _not_found(path: RunPath, command: str) -> str:
    """Return what a path is instead of a run, and what to type."""

    def remedy(run: RunPath) -> str:
        return f"{command} {shell_quoted(run)}".strip()

    if path.name == LATEST:
        return f"{display_path(_folder(path))} has no runs; start one with: tune-ode search"
    if inside := runs_in(path):
        names = [run.name for run, _ in inside]
        listed = ", ".join(names[:_MOST_LISTED])
        listed += f" and {len(names) - _MOST_LISTED} more" * (len(names) > _MOST_LISTED)
        return (
            f"{path} is a folder of {pluralize(len(names), 'run')}: {listed}; give one of them: "
            f"{remedy(_latest(inside) or path)}; details: tune-ode runs {shell_quoted(path)}"
        )
    hint = ""
    reason = f"no {path / MANIFEST}"
    if isinstance(path, Path) and os.path.exists(path):  # `Path.exists` can fail
        if (run := next(filter(is_run, path.absolute().parents), None)) is not None:
            return f"{path} is inside a run; give the run itself: {remedy(run)}"
        if path.is_file():
            reason = "it is a file"
    elif ":" in path.name and (own := find_run(str(path).rpartition(":")[0])) is not None:
        return f"{path} names a trial; give its run: {remedy(own)}"
    elif isinstance(path, Path) and is_run(path.parent):
        return f"{path.parent} has no {path.name}; a trial is given as {path.parent}:{path.name}"
    elif isinstance(path, Path):
        names = [run.name for run, _ in runs_in(_folder(path))]
        names += [LATEST] * bool(names)
        near = difflib.get_close_matches(path.name, names, n=1)
        hint = f" did you mean '{near[0]}'?" if near else ""
    return f"{path} is not a run directory: {reason};{hint} list runs with: tune-ode runs"
