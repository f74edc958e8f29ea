"""A run in an object store: a copy of it on this machine, and the way of each write into the store.

Object stores replace objects whole and append nothing. So a run folder works in a scratch folder as
in any other, and puts each file it has written into the store before anything relies on it. The
study's journal alone is not: it follows from the rest.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tune_ode import records
from tune_ode.errors import RunFolderError, StorageUnavailable, TuneOdeError
from tune_ode.paths import map_io
from tune_ode.records import STOP_FILE
from tune_ode.remote_path import RemotePath
from tune_ode.runs.lease import Lease
from tune_ode.runs.retry import retry

_A = TypeVar("_A")
_OF_THE_RUN = (records.MANIFEST, records.STUDY, STOP_FILE)
_OF_A_TRIAL = (records.CONFIG, records.REPORTS, records.OUTCOME, records.CONFIRMATION)


class RemoteMirror:
    """The store's side of an open run; held by this process alone until `close`."""

    def __init__(self, run: RemotePath) -> None:
        """Take the run's lease, and copy what a search reads of it.

        Raises:
            RunFolderError: another process is writing to it, or the store refuses.
        """
        self.run = run
        self._lost: StorageUnavailable | None = None
        self._lease = Lease(run)
        self._scratch = tempfile.TemporaryDirectory(
            prefix="tune-ode-run-", ignore_cleanup_errors=True
        )
        self.folder = Path(self._scratch.name) / run.name
        """The copy."""
        try:
            self._copy()
        except OSError as error:
            self._let_go()
            raise RunFolderError(
                f"cannot copy {run} to {self.folder}: {error.strerror}; free some space, or set "
                "TMPDIR to another folder"
            ) from None
        except BaseException:
            self._let_go()
            raise

    def put(self, file: Path, *, patient: bool = True) -> None:
        """Put a file of the copy into the store.

        Args:
            file: what was written.
            patient: whether to try for a while where the store does not answer.

        Raises:
            StorageLost: the store does not take it, or another process has taken over the run.
        """
        content, there = file.read_bytes(), self._at(file)

        def write() -> None:
            self._lease.check()
            there.write_bytes(content)

        self._ask(write, patient=patient)

    def delete(self, file: Path) -> None:
        """Delete in the store what stands for a file of the copy.

        Raises:
            StorageLost: as `put`.
        """
        self._ask(lambda: self._at(file).unlink(missing_ok=True))

    def fetch(self, file: Path) -> None:
        """Bring a file, if the store has it, into the copy.

        Raises:
            StorageLost: the store does not answer.
        """
        with contextlib.suppress(FileNotFoundError):
            file.write_bytes(self._ask(self._at(file).read_bytes))

    def close(self) -> None:
        """Keep the study, which is whole now; give the run back and remove the copy."""
        study = self.folder / records.STUDY
        if study.exists():
            with contextlib.suppress(TuneOdeError):  # it would be made again
                self.put(study, patient=False)
        self._let_go()

    # --- inside -----------------------------------------------------------------------------

    def _ask(self, request: Callable[[], _A], *, patient: bool = True) -> _A:
        # waited for in vain once, it is not waited for again: a search ends with many writes
        if self._lost is not None:
            raise self._lost
        try:
            return retry(request, patient=patient)
        except StorageUnavailable as error:
            self._lost = error if patient else None
            raise

    def _copy(self) -> None:
        (self.folder / records.TRIALS).mkdir(parents=True)
        names = list(filter(_is_read, self.run.objects()))
        places = [self._at(self.folder / name) for name in names]
        for name, content in zip(
            names, map_io(RemotePath.read_bytes, places, where=self.run), strict=True
        ):
            file = self.folder / name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
        if records.STUDY in names:
            # left there by a kill it would be older than the rest, and propose what was tried
            self.delete(self.folder / records.STUDY)

    def _at(self, file: Path) -> RemotePath:
        there = self.run
        for part in file.relative_to(self.folder).parts:
            there /= part
        return there

    def _let_go(self) -> None:
        self._lease.release()
        self._scratch.cleanup()


def _is_read(name: str) -> bool:
    match name.split("/"):
        case [file]:
            return file in _OF_THE_RUN
        case [records.TRIALS, trial, file]:
            return trial.isdecimal() and file in _OF_A_TRIAL
    return False
