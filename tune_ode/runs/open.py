"""Open and create run directories, local and in an object store."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path

from tune_ode import records
from tune_ode.errors import RunFolderError, TuneOdeError
from tune_ode.paths import RunPath, write_atomic
from tune_ode.records import RunManifest
from tune_ode.runs.folder import RunFolder, already_exists_error, check_directory_writable
from tune_ode.runs.remote import RemoteMirror


def open_run(run: RunPath) -> RunFolder:
    """Open an existing run, in a folder or in an object store.

    Raises:
        RunFolderError: no run there, another process is writing to it, or it cannot be reached.
    """
    if isinstance(run, Path):
        return RunFolder(run)
    records.read_manifest(run)  # reject what is not a run before taking its lease
    store = RemoteMirror(run)
    try:
        return RunFolder(store.folder, store)
    except BaseException:
        store.close()
        raise


def create_run(run: RunPath, manifest: RunManifest) -> RunFolder:
    """Make a new run, whole or not at all.

    Raises:
        RunFolderError: the place is taken, or cannot be written.
    """
    if isinstance(run, Path):
        return RunFolder.create(run, manifest)
    if is_taken(run):
        raise already_exists_error(run)
    write_atomic(run / records.MANIFEST, records.dumps(manifest.to_json()) + "\n")
    try:
        return open_run(run)
    except BaseException:
        with contextlib.suppress(TuneOdeError, FileNotFoundError):
            (run / records.MANIFEST).unlink()
        raise


def open_or_create_run(run: RunPath, manifest: RunManifest) -> RunFolder:
    """Open a run that is there, and write down what is asked of it now; or make it.

    Raises:
        RunFolderError: as `open_run` and `create_run`.
    """
    if not is_taken(run):
        return create_run(run, manifest)
    folder = open_run(run)
    folder.update(state=manifest.state, options=manifest.options)
    return folder


def is_taken(run: RunPath) -> bool:
    """Return whether there is anything where a new run is to be made.

    Raises:
        RunFolderError: the store cannot be reached.
    """
    return run.exists() if isinstance(run, Path) else run.is_dir()


def check_writable(run: RunPath) -> None:
    """Try whether a new run could be made at a place; leave nothing behind.

    Raises:
        RunFolderError: it cannot: no such bucket, say, or no credentials for it.
    """
    if isinstance(run, Path):
        check_directory_writable(run)
        return
    probe = run.parent / f".tune-ode-{uuid.uuid4().hex}"
    try:
        probe.write_bytes(b"tried whether a run can be written here")
        probe.unlink()
    except FileNotFoundError:
        raise RunFolderError(f"{run.parent} cannot be written; choose another --output") from None
