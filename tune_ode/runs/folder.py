"""Write a run directory: manifest, trial configurations, reports and outcomes.

The driver is the only writer of these files. Their order makes it safe to kill the driver at any
time: ask the sampler, write config.json, start the trial, append reports, write outcome.json, tell
the sampler. A resume reads the directory and rebuilds everything else from it, the study included.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from filelock import FileLock, Timeout

from tune_ode import records
from tune_ode.config import TrialConfig
from tune_ode.errors import DISK_FULL, ConfigurationError, RunFolderError, StorageFull, TuneOdeError
from tune_ode.paths import RunPath, address, shell_quoted
from tune_ode.records import STOP_FILE, Confirmation, Report, RunManifest, TrialResult, TrialSpec
from tune_ode.runs.location import (
    LOCK,
    NEW_TRIAL,
    already_exists_error,
    cannot_write_error,
    require_no_links,
)
from tune_ode.text import TEXT, without_controls

if TYPE_CHECKING:
    from tune_ode.runs.remote import RemoteMirror

_R = TypeVar("_R", TrialSpec, TrialResult)
_STACK_BYTES = 2**20
_STAGING_SECONDS = 60.0
"""Time after which a new run of another machine is complete, or its process was killed."""


class RunFolder:
    """An open run directory, locked for this process until `close`."""

    def __init__(self, path: Path, mirror: RemoteMirror | None = None) -> None:
        """Open an existing run.

        Args:
            path: the run directory.
            mirror: the mirror whose local copy the directory is; closed with it.

        Raises:
            RunFolderError: the directory holds no run, or another process is writing to it.
        """
        require_no_links(path)
        self.path = path.resolve()
        self.location: RunPath = self.path if mirror is None else mirror.run
        """Path or URL of the run for other processes."""
        self._mirror = mirror
        self.manifest = records.read_manifest(self.path)
        self._last_id: int | None = None
        self._lock = FileLock(self.path / LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RunFolderError(
                f"another process is writing to {path}; wait for it, or stop it first"
            ) from None
        except OSError as error:
            raise RunFolderError(f"cannot write to {path}: {error.strerror}") from None
        (self.path / records.TRIALS).mkdir(exist_ok=True)
        for directory in (self.path, *self._trial_paths()):
            records.remove_leftovers(directory)

    @classmethod
    def create(cls, path: Path, manifest: RunManifest) -> Self:
        """Create a run directory atomically, and open it.

        Raises:
            RunFolderError: the path exists, or cannot be written.
        """
        path = path.absolute()
        if path.exists():
            raise already_exists_error(path)
        staging = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        created = [parent for parent in path.parents if not parent.exists()]
        records.remove_leftovers(path.parent, older_than=_STAGING_SECONDS)
        try:
            (staging / records.TRIALS).mkdir(parents=True)
            _write_record(staging / records.MANIFEST, manifest)
            staging.rename(path)
            records.sync_directory(path.parent)
        except BaseException as error:
            shutil.rmtree(staging, ignore_errors=True)
            for parent in created:
                with suppress(OSError):
                    parent.rmdir()
            if isinstance(error, OSError):
                raise cannot_write_error(path, error) from None
            raise
        return cls(path)

    def close(self) -> None:
        """Release the lock."""
        self._lock.release()
        if self._mirror is not None:
            self._mirror.close()

    @property
    def address(self) -> str:
        """Absolute path or URL that other processes open the run with."""
        return address(self.location)

    @property
    def study_path(self) -> Path:
        """Path of the Optuna journal."""
        return self.path / records.STUDY

    def update(self, **changes: Any) -> None:
        """Replace fields of the manifest."""
        self.manifest = dataclasses.replace(self.manifest, **changes)
        self._replace(self.path / records.MANIFEST, self.manifest)

    def trial(self, trial_id: str) -> Path:
        """Return the directory of a trial."""
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
            self._last_id = max((int(path.name) for path in self._trial_paths()), default=0)
        self._last_id += 1
        spec = TrialSpec(
            trial_id=f"{self._last_id:04d}",
            config=config,
            params=params,
            created=now,
            confirms=confirms,
        )
        # atomic: a trial directory always has a configuration
        staging = self.path / records.TRIALS / NEW_TRIAL
        with self._writing(self.trial(spec.trial_id) / records.CONFIG):
            staging.mkdir(exist_ok=True)
            _write_record(staging / records.CONFIG, spec)
            staging.rename(self.trial(spec.trial_id))
            records.sync_directory(staging.parent)
        return spec

    def fix_horizon(self, spec: TrialSpec, horizon: int) -> TrialSpec:
        """Write the horizon that a trial chose for its budget to config.json; return the spec."""
        training = spec.config["training"]
        if training["horizon"] == horizon:
            return spec
        config = spec.config | {"training": training | {"horizon": horizon}}
        spec = dataclasses.replace(spec, config=config)
        self._replace(self.trial(spec.trial_id) / records.CONFIG, spec)
        return spec

    def append(self, report: Report) -> None:
        """Append one report, completely or not at all."""
        path = self.trial(report.trial_id) / records.REPORTS
        with self._writing(path):
            records.append(path, records.encode(records.dumps(report.to_json()) + "\n"))

    def set_reports_aside(self, trial_id: str) -> None:
        """Move a trial's reports to `lost-reports.jsonl`, since the trial starts over."""
        path = self.trial(trial_id) / records.REPORTS
        lost = path.with_name(f"lost-{path.name}")
        with self._writing(lost):
            os.replace(path, lost)
        with self._writing(path):
            records.write_atomic(path, b"")

    def write_result(self, result: TrialResult) -> None:
        """Write a trial's outcome.json."""
        self._replace(self.trial(result.trial_id) / records.OUTCOME, result)

    def write_confirmation(self, confirmation: Confirmation) -> None:
        """Write a trial's confirmation.json."""
        self._replace(self.trial(confirmation.trial_id) / records.CONFIRMATION, confirmation)

    def specs(self) -> list[TrialSpec]:
        """Return the spec of every trial, by id."""
        found = [self._record(path, records.CONFIG, TrialSpec) for path in self._trial_paths()]
        return [_complete(spec) for spec in found if spec is not None]

    def reports(self, trial_id: str) -> list[Report]:
        """Return the reports of a trial, the last of each epoch."""
        return records.dedupe_by_epoch(records.TrialReader(self.trial(trial_id)).reports())

    def result(self, trial_id: str) -> TrialResult | None:
        """Return how a trial ended, or None if it has not."""
        return self._record(self.trial(trial_id), records.OUTCOME, TrialResult)

    def hang_stack(self, trial_id: str) -> str | None:
        """Return the Python stack of a trial that hung, or None if it ended otherwise."""
        trial = self.trial(trial_id)
        if self._mirror is not None:
            self._mirror.fetch(trial / records.STACK)
        return read_hang_stack(trial)

    def set_stop_flag(self) -> None:
        """Ask the run's trials, on every node, to save their state and end."""
        path = self.path / STOP_FILE
        # a full disk or an unavailable store must not prevent a stop
        with suppress(OSError, TuneOdeError):
            with records.open_regular(path, os.O_WRONLY | os.O_CREAT):
                pass
            if self._mirror is not None:
                self._mirror.put(path, once=True)

    def clear_stop_flag(self) -> None:
        """Let trials run again."""
        path = self.path / STOP_FILE
        if path.exists():
            if self._mirror is not None:
                self._mirror.delete(path)
            path.unlink()

    @property
    def resume_command(self) -> str:
        """Shell command that continues the run."""
        if self.manifest.options.get("command") == records.CONFIRM:
            return f"tune-ode confirm {shell_quoted(self.location.parent)}"
        return f"tune-ode resume {shell_quoted(self.location)}"

    def _replace(
        self, path: Path, record: RunManifest | TrialSpec | TrialResult | Confirmation
    ) -> None:
        with self._writing(path):
            _write_record(path, record)

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        """Raise `StorageFull` for a full disk; upload the written file if the run is remote."""
        try:
            yield
        except OSError as error:
            if error.errno in DISK_FULL:
                raise StorageFull(
                    f"cannot write {self.path}: {error.strerror}; finished work is kept: free some "
                    f"space, then run: {self.resume_command}"
                ) from None
            raise
        if self._mirror is not None:
            self._mirror.put(path)

    def _trial_paths(self) -> list[Path]:
        return records.trial_paths((self.path / records.TRIALS).iterdir())

    def _record(self, trial: Path, name: str, record: type[_R]) -> _R | None:
        reader = records.TrialReader(trial)
        found = reader.record(name, record)
        for problem in reader.passed_over:
            raise RunFolderError(
                f"{self.path} is damaged: {problem}; restore the file from a copy, or move "
                f"{trial} away"
            )
        return found


def _complete(spec: TrialSpec) -> TrialSpec:
    """Return a spec with the fields that its version lacked; its process rejects an invalid one."""
    with suppress(ConfigurationError):
        return dataclasses.replace(spec, config=TrialConfig.from_dict(spec.config).to_dict())
    return spec


def _write_record(path: Path, record: RunManifest | TrialSpec | TrialResult | Confirmation) -> None:
    records.write_atomic(path, records.dumps(record.to_json()) + "\n")


def read_hang_stack(trial: Path) -> str | None:
    """Return the Python stack that the watchdog wrote, or None if the trial did not hang."""
    file = trial / records.STACK
    with suppress(OSError):
        if stack := records.read_file(file, _STACK_BYTES):
            return without_controls(stack.decode(errors="replace"), TEXT)
        file.unlink()  # empty: the process ended in another way
    return None
