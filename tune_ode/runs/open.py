"""Open and create runs, in a local directory or in an object store."""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from pathlib import Path

from tune_ode import records
from tune_ode.errors import RunFolderError, TuneOdeError
from tune_ode.paths import RunPath, address, write_atomic
from tune_ode.records import RunManifest
from tune_ode.records.access import open_regular
from tune_ode.runs.folder import RunFolder
from tune_ode.runs.lease import is_leased
from tune_ode.runs.location import LOCK, already_exists_error, check_directory_writable
from tune_ode.runs.remote import RemoteMirror
from tune_ode.trust import names_in, remember


def open_run(run: RunPath) -> RunFolder:
    """Open an existing run.

    Raises:
        RunFolderError: there is no run, another process is writing to it, or the store is
            unavailable.
    """
    if isinstance(run, Path):
        return RunFolder(run)
    records.read_manifest(run)  # reject what is not a run before taking its lease
    mirror = RemoteMirror(run)
    try:
        return RunFolder(mirror.path, mirror)
    except BaseException:
        mirror.close()
        raise


def create_run(run: RunPath, manifest: RunManifest) -> RunFolder:
    """Create and open a run; if that fails, leave nothing behind.

    The user has given all of its options, so that a resume needs no approval of them.

    Raises:
        RunFolderError: the path exists, or cannot be written.
    """
    folder = _create_run(run, manifest)
    remember(address(run.resolve()), names_in(manifest.options))
    return folder


def _create_run(run: RunPath, manifest: RunManifest) -> RunFolder:
    if isinstance(run, Path):
        return RunFolder.create(run, manifest)
    if run_exists(run):
        raise already_exists_error(run)
    write_atomic(run / records.MANIFEST, records.dumps(manifest.to_json()) + "\n")
    try:
        return open_run(run)
    except BaseException:
        with contextlib.suppress(TuneOdeError, FileNotFoundError):
            (run / records.MANIFEST).unlink()
        raise


def open_or_create_run(run: RunPath, manifest: RunManifest) -> RunFolder:
    """Open a run and replace its state, options and base by the manifest's, or create it.

    Raises:
        RunFolderError: as `open_run` and `create_run`.
    """
    if not run_exists(run):
        return create_run(run, manifest)
    folder = open_run(run)
    folder.update(state=manifest.state, options=manifest.options, base=manifest.base)
    return folder


def run_exists(run: RunPath) -> bool:
    """Return whether a path, or anything below a URL, exists.

    Raises:
        RunFolderError: the store is unavailable.
    """
    return run.exists() if isinstance(run, Path) else run.is_dir()


def is_being_written(run: RunPath) -> bool:
    """Return whether a process has a run open for writing, as far as this machine can tell."""
    if not isinstance(run, Path):
        return is_leased(run)
    try:
        with open_regular(run / LOCK, os.O_RDONLY) as file:
            # a shared lock does not prevent others from asking, and ends with the file
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # locked, or on a file system without locks
    return False


def check_writable(run: RunPath) -> None:
    """Check that a new run can be created, without creating it.

    Raises:
        RunFolderError: it cannot, for example without a bucket or its credentials.
    """
    if isinstance(run, Path):
        check_directory_writable(run)
        return
    probe = run.parent / f".tune-ode-{uuid.uuid4().hex}"
    try:
        probe.write_bytes(b"checks whether a run can be written here")
        probe.unlink()
    except FileNotFoundError:
        raise RunFolderError(f"{run.parent} cannot be written; choose another --output") from None
