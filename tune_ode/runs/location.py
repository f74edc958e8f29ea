"""Check where a run directory can be created, and that writing to one changes nothing outside."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tune_ode import records
from tune_ode.errors import RunFolderError
from tune_ode.paths import RunPath, shell_quoted

LOCK = ".lock"
NEW_TRIAL = ".new"
_RUN_NAMES = frozenset({records.MANIFEST, records.STUDY, records.STOP_FILE, records.TRIALS, LOCK})
_TRIAL_NAMES = frozenset(
    {records.CONFIG, records.REPORTS, records.OUTCOME, records.CONFIRMATION, records.STACK,
     records.LAST_CHECKPOINT, records.BEST_CHECKPOINT}
)  # fmt: skip
_MIN_FREE_BYTES = 64 * 2**10
"""Space for a manifest and the start of a study."""


def check_directory_writable(path: Path) -> None:
    """Check that a new run directory can be created, without creating it.

    Raises:
        RunFolderError: it cannot be created, or the disk is full.
    """
    existing = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        # permission bits do not show a read-only or full file system; only a write does
        with tempfile.TemporaryFile(dir=existing, prefix=".tune-ode-", buffering=0) as file:
            left = _MIN_FREE_BYTES
            while left > 0:  # a nearly full disk writes less than it was given
                left -= file.write(bytes(left))
    except OSError as error:
        raise cannot_write_error(path, error) from None


def already_exists_error(run: RunPath) -> RunFolderError:
    """Return the error for a new run whose path exists."""
    return RunFolderError(
        f"{run} exists already; choose another --name, or continue it with: "
        f"tune-ode resume {shell_quoted(run)}"
    )


def cannot_write_error(path: Path, error: OSError) -> RunFolderError:
    """Return the error for a directory that cannot be written."""
    # a confirmation is in the directory of its run
    inside = (path.parent / records.MANIFEST).exists()
    remedy = "free space or change permissions there" if inside else "choose another --output"
    return RunFolderError(f"cannot write the run directory {path}: {error.strerror}; {remedy}")


def require_no_links(run: Path) -> None:
    """Check that writing to a run changes nothing outside of it.

    Raises:
        RunFolderError: names the first link or special file.
    """
    for found in _links(run.absolute()):
        raise RunFolderError(
            f"{found} is a link or a special file, but a run is written to inside its directory "
            "only; replace it by a copy of what it names, or remove it"
        )


def _links(run: Path) -> Iterator[Path]:
    # the user names the run, which may be a link, but not the confirmation inside it
    if run.is_symlink() and (run.parent / records.MANIFEST).exists():
        yield run
    yield from records.find_links(run, _RUN_NAMES)
    directory = run / records.TRIALS
    trials = records.trial_paths(directory.iterdir()) if directory.is_dir() else []
    yield from records.find_links(directory, {NEW_TRIAL, *(trial.name for trial in trials)})
    for trial in trials:
        yield from records.find_links(trial, _TRIAL_NAMES)
