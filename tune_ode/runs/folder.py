"""The only writer of what counts in a run: manifest, configurations, report lines, outcomes.

The order of writes makes every moment safe to be killed at: ask the sampler, write config.json,
start the trial, append report lines, write outcome.json, tell the sampler. A resume reads the
folder and reconciles everything else, the study included, with it.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock, Timeout

from tune_ode import records
from tune_ode.errors import DISK_FULL, RunFolderError, StorageFull, TuneOdeError
from tune_ode.paths import RunPath, address, shell_quoted
from tune_ode.records import (
    STOP_FILE,
    Confirmation,
    Outcome,
    Report,
    RunManifest,
    TrialResult,
    TrialSpec,
)

if TYPE_CHECKING:
    from tune_ode.runs.remote import RemoteMirror

_LOCK = ".lock"
_NEW_TRIAL = ".new"
_LEAST_ROOM = 64 * 2**10
"""Bytes; a manifest and the start of a study fit."""


def check_directory_writable(path: Path) -> None:
    """Try whether a new run folder could be made; leave nothing behind.

    Raises:
        RunFolderError: not there, or the disk is full.
    """
    existing = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        # what a permission bit says is not what a read-only or full file system does
        with tempfile.TemporaryFile(dir=existing, prefix=".tune-ode-", buffering=0) as file:
            left = _LEAST_ROOM
            while left > 0:  # a write that finds some room, but too little, is cut short
                left -= file.write(bytes(left))
    except OSError as error:
        raise _cannot_write(path, error) from None


class RunFolder:
    """An open run folder, locked for this process until `close`."""

    def __init__(self, path: Path, store: RemoteMirror | None = None) -> None:
        """Open an existing run folder.

        Args:
            path: the folder.
            store: where the run is, if the folder is but a copy; closed with it.

        Raises:
            RunFolderError: no run there, or another process is writing to it.
        """
        self.path = path.resolve()
        self.place: RunPath = self.path if store is None else store.run
        """Where the run is, for everyone else."""
        self._store = store
        self.manifest = records.read_manifest(self.path)
        self._last_id: int | None = None
        self._lock = FileLock(self.path / _LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RunFolderError(
                f"another process is writing to {path}; wait for it, or stop it first"
            ) from None
        except OSError as error:
            raise RunFolderError(f"cannot write to {path}: {error.strerror}") from None

    @classmethod
    def create(cls, path: Path, manifest: RunManifest) -> Self:
        """Make a new run folder, whole or not at all.

        Raises:
            RunFolderError: the path is taken, or cannot be written.
        """
        path = path.absolute()
        if path.exists():
            raise already_exists_error(path)
        staging = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        made = [parent for parent in path.parents if not parent.exists()]
        try:
            (staging / records.TRIALS).mkdir(parents=True)
            records.write_atomic(
                staging / records.MANIFEST, records.dumps(manifest.to_json()) + "\n"
            )
            staging.rename(path)
        except BaseException as error:
            shutil.rmtree(staging, ignore_errors=True)
            for parent in made:
                with suppress(OSError):
                    parent.rmdir()
            if isinstance(error, OSError):
                raise _cannot_write(path, error) from None
            raise
        return cls(path)

    def close(self) -> None:
        """Give the lock back."""
        self._lock.release()
        if self._store is not None:
            self._store.close()

    @property
    def address(self) -> str:
        """The run's absolute path or its URL, which the processes of its trials find it by."""
        return address(self.place)

    @property
    def study_path(self) -> Path:
        """The Optuna journal."""
        return self.path / records.STUDY

    def update(self, **changes: Any) -> None:
        """Replace fields of the manifest."""
        self.manifest = dataclasses.replace(self.manifest, **changes)
        path = self.path / records.MANIFEST
        with self._writing(path):
            records.write_atomic(path, records.dumps(self.manifest.to_json()) + "\n")

    def trial(self, trial_id: str) -> Path:
        """Folder of one trial."""
        return self.path / records.TRIALS / trial_id

    def add_trial(
        self,
        config: dict[str, Any],
        params: dict[str, Any],
        now: float,
        *,
        confirms: str | None = None,
    ) -> TrialSpec:
        """Write a new trial's config.json under the next free id."""
        if self._last_id is None:  # listed once: a run may have thousands of trials
            self._last_id = max((int(folder.name) for folder in self._trial_folders()), default=0)
        self._last_id += 1
        setup = TrialSpec(
            trial_id=f"{self._last_id:04d}",
            config=config,
            params=params,
            created=now,
            confirms=confirms,
        )
        # whole or not at all: a trial's folder without a configuration would be no trial
        staging = self.path / records.TRIALS / _NEW_TRIAL
        with self._writing(self.trial(setup.trial_id) / records.CONFIG):
            staging.mkdir(exist_ok=True)
            records.write_atomic(staging / records.CONFIG, records.dumps(setup.to_json()) + "\n")
            staging.rename(self.trial(setup.trial_id))
        return setup

    def append(self, line: Report) -> None:
        """Append one report line, whole or not at all."""
        path = self.trial(line.trial_id) / records.REPORTS
        with self._writing(path), path.open("ab") as file:
            before = file.tell()
            try:
                # a crash may have left a last line cut off: start on a line of one's own
                cut_off = before and path.read_bytes()[-1:] != b"\n"
                file.write(b"\n" * bool(cut_off) + records.dumps(line.to_json()).encode() + b"\n")
                file.flush()
            except OSError:
                os.ftruncate(file.fileno(), before)
                raise

    def end(self, outcome: TrialResult) -> None:
        """Write a trial's outcome.json."""
        path = self.trial(outcome.trial_id) / records.OUTCOME
        with self._writing(path):
            records.write_atomic(path, records.dumps(outcome.to_json()) + "\n")

    def confirm(self, confirmation: Confirmation) -> None:
        """Write a retrained model's confirmation.json."""
        path = self.trial(confirmation.trial_id) / records.CONFIRMATION
        with self._writing(path):
            records.write_atomic(path, records.dumps(confirmation.to_json()) + "\n")

    def specs(self) -> list[TrialSpec]:
        """Every trial whose configuration was written, by id."""
        found = (records.read_json(folder / records.CONFIG) for folder in self._trial_folders())
        return [TrialSpec.from_json(setup) for setup in found if setup is not None]

    def reports(self, trial_id: str) -> list[Report]:
        """Report lines of one trial, the last per epoch."""
        return records.dedupe_by_epoch(records.read_reports(self.trial(trial_id) / records.REPORTS))

    def result(self, trial_id: str) -> TrialResult | None:
        """How a trial ended, or None while it has not."""
        found = records.read_json(self.trial(trial_id) / records.OUTCOME)
        if found is None:
            return None
        return TrialResult.from_json(found | {"outcome": Outcome(found["outcome"])})

    def hang_stack(self, trial_id: str) -> str | None:
        """Return the stack in which a trial's process was stuck, or None if it ended otherwise."""
        folder = self.trial(trial_id)
        if self._store is not None:
            self._store.fetch(folder / records.STACK)
        return read_hang_stack(folder)

    def set_stop_flag(self) -> None:
        """Tell this run's trials, on every node, to save their state and end."""
        path = self.path / STOP_FILE
        # a full disk, or a store that is away, must not keep a run from stopping
        with suppress(OSError, TuneOdeError):
            path.touch()
            if self._store is not None:
                self._store.put(path, patient=False)

    def clear_stop_flag(self) -> None:
        """Let trials run again."""
        path = self.path / STOP_FILE
        if path.exists():
            if self._store is not None:
                self._store.delete(path)
            path.unlink()

    @property
    def resume_command(self) -> str:
        """The command that continues what is written here."""
        if self.manifest.options.get("command") == records.CONFIRM:
            return f"tune-ode confirm {shell_quoted(self.place.parent)}"
        return f"tune-ode resume {shell_quoted(self.place)}"

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        """Name a full disk; of a run in an object store, put there what was written."""
        try:
            yield
        except OSError as error:
            if error.errno in DISK_FULL:
                raise StorageFull(
                    f"cannot write {self.path}: {error.strerror}; finished work is kept: free some "
                    f"space, then run: {self.resume_command}"
                ) from None
            raise
        if self._store is not None:
            self._store.put(path)

    def _trial_folders(self) -> list[Path]:
        return sorted(
            folder for folder in (self.path / records.TRIALS).iterdir() if folder.name.isdigit()
        )


def already_exists_error(run: RunPath) -> RunFolderError:
    """Return the error for a place where there is something already."""
    return RunFolderError(
        f"{run} exists already; choose another --name, or continue it with: "
        f"tune-ode resume {shell_quoted(run)}"
    )


def _cannot_write(path: Path, error: OSError) -> RunFolderError:
    return RunFolderError(
        f"cannot write the run folder {path}: {error.strerror}; choose another --output"
    )


def read_hang_stack(folder: Path) -> str | None:
    """Return the stack in which a trial's process was stuck, or None if it ended otherwise."""
    file = folder / records.STACK
    with suppress(OSError):
        if stack := file.read_text(errors="replace"):
            return stack
        file.unlink()  # of a process that died in another way
    return None
