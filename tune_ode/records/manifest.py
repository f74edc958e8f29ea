"""Read a run's manifest; reject what is not a run of this schema version."""

from __future__ import annotations

from typing import Protocol

from tune_ode.errors import RunFolderError
from tune_ode.records.access import File
from tune_ode.records.files import read_json
from tune_ode.records.layout import MANIFEST
from tune_ode.records.record import InvalidRecord
from tune_ode.records.schema import SCHEMA_VERSION, RunManifest


class Directory(Protocol):
    """A run directory: a `Path` or a `RemotePath`."""

    def __truediv__(self, name: str, /) -> File:
        """Return a file in the directory."""


def read_manifest(run: Directory) -> RunManifest:
    """Return the manifest of a run.

    Raises:
        RunFolderError: the directory holds no run, a damaged one, or one that another schema
            version wrote.
    """
    path = run / MANIFEST
    try:
        values = read_json(path)
    except OSError as error:
        raise RunFolderError(
            f"cannot read {path}: {error.strerror}; pass a run directory"
        ) from None
    except InvalidRecord as error:
        raise _damaged(path, error) from None
    if values is None:
        raise RunFolderError(
            f"{run} is not a run directory: it has no {MANIFEST}; searches create run directories "
            "in runs/, unless told otherwise"
        )
    if (version := values.get("schema_version")) != SCHEMA_VERSION:
        found = "no schema version" if version is None else f"schema version {version!s:.20}"
        raise RunFolderError(
            f"{run} has {found}, but this tune-ode reads version {SCHEMA_VERSION} only; use the "
            "tune-ode that wrote it, or start a new run"
        )
    try:
        return RunManifest.from_json(values)
    except InvalidRecord as error:
        raise _damaged(path, error) from None


def _damaged(path: object, problem: InvalidRecord) -> RunFolderError:
    return RunFolderError(f"{path} is damaged: {problem}; restore it from a copy")
