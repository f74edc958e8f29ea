"""Check where a new run directory can be created."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tune_ode import records
from tune_ode.errors import RunFolderError
from tune_ode.paths import RunPath, shell_quoted

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
