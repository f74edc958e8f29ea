"""Mirror a run in an object store to a local directory.

Object stores replace entire objects and cannot append. A `RunFolder` works in a local copy
and uploads each file after writing it, before anything relies on it. The study's journal is not
uploaded until the end, since it can be rebuilt from the other files.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from functools import reduce
from operator import truediv
from pathlib import Path
from typing import TypeVar

from tune_ode import records
from tune_ode.errors import RunFolderError, StorageUnavailable, TuneOdeError
from tune_ode.paths import map_io
from tune_ode.records import STOP_FILE
from tune_ode.remote_path import RemotePath
from tune_ode.runs.lease import Lease
from tune_ode.runs.retry import retry

_T = TypeVar("_T")
_RUN_FILES = (records.MANIFEST, records.STUDY, STOP_FILE)
_TRIAL_FILES = (records.CONFIG, records.REPORTS, records.OUTCOME, records.CONFIRMATION)


class RemoteMirror:
    """Local copy of a run in an object store; this process holds the run's lease until `close`."""

    def __init__(self, run: RemotePath) -> None:
        """Acquire the run's lease and download the files that a search reads.

        Raises:
            RunFolderError: another process holds the lease, or the store rejects a request.
        """
        self.run = run
        self._failure: StorageUnavailable | None = None
        self._lease = Lease(run)
        self._scratch = tempfile.TemporaryDirectory(
            prefix="tune-ode-run-", ignore_cleanup_errors=True
        )
        self.path = Path(self._scratch.name) / run.name
        """The local copy."""
        try:
            self._download()
        except OSError as error:
            self._release()
            raise RunFolderError(
                f"cannot copy {run} to {self.path}: {error.strerror}; free some space, or set "
                "TMPDIR to another directory"
            ) from None
        except BaseException:
            self._release()
            raise

    def put(self, file: Path, *, once: bool = False) -> None:
        """Upload a file of the local copy.

        Args:
            file: path in the local copy.
            once: do not retry if the store is unavailable.

        Raises:
            StorageUnavailable: the upload failed, or another process took over the run.
        """
        content, target = file.read_bytes(), self._remote(file)

        def write() -> None:
            self._lease.check()
            target.write_bytes(content)

        self._request(write, once=once)

    def delete(self, file: Path) -> None:
        """Delete the object of a file of the local copy.

        Raises:
            StorageUnavailable: the request failed.
        """
        self._request(lambda: self._remote(file).unlink(missing_ok=True))

    def fetch(self, file: Path) -> None:
        """Download a file into the local copy, if the store has it.

        Raises:
            StorageUnavailable: the request failed.
        """
        with contextlib.suppress(FileNotFoundError):
            file.write_bytes(self._request(self._remote(file).read_bytes))

    def close(self) -> None:
        """Upload the complete study, release the lease and remove the local copy."""
        study = self.path / records.STUDY
        if study.exists():
            with contextlib.suppress(TuneOdeError):  # the next start can rebuild it
                self.put(study, once=True)
        self._release()

    def _request(self, request: Callable[[], _T], *, once: bool = False) -> _T:
        # a search ends with many writes: after one has failed, the others fail without a wait
        if self._failure is not None:
            raise self._failure
        try:
            return retry(request, once=once)
        except StorageUnavailable as error:
            self._failure = None if once else error
            raise

    def _download(self) -> None:
        (self.path / records.TRIALS).mkdir(parents=True)
        names = list(filter(_is_mirrored, self.run.objects()))
        objects = [self._remote(self.path / name) for name in names]
        contents = map_io(RemotePath.read_bytes, objects, where=self.run)
        for name, content in zip(names, contents, strict=True):
            file = self.path / name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
        if records.STUDY in names:
            # after a kill it would be older than the other files, and repeat proposals
            self.delete(self.path / records.STUDY)

    def _remote(self, file: Path) -> RemotePath:
        return reduce(truediv, file.relative_to(self.path).parts, self.run)

    def _release(self) -> None:
        self._lease.release()
        self._scratch.cleanup()


def _is_mirrored(name: str) -> bool:
    match name.split("/"):
        case [file]:
            return file in _RUN_FILES
        case [records.TRIALS, trial, file]:
            return records.is_trial_id(trial) and file in _TRIAL_FILES
    return False
