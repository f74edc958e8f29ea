"""Checkpoints and the stop flag, as a trial's process uses them.

Training writes checkpoints to a local directory. If the run is in an object store, they are
uploaded from a scratch directory between two training steps, outside the training clock.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path

from tune_ode.errors import TuneOdeError
from tune_ode.paths import RunPath, run_path
from tune_ode.records import BEST_CHECKPOINT, LAST_CHECKPOINT, STOP_FILE
from tune_ode.runs.retry import retry

REMOTE_POLL_SECONDS = 3.0
"""Interval of looking for the stop file in an object store, which charges for each request."""


@contextmanager
def checkpoints(trial: RunPath) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Yield a checkpoint directory, seeded with `last.pt` if present.

    Args:
        trial: path or URL of the trial.

    Yields:
        The directory, and a function that uploads new checkpoints; call it before reporting
        anything that relies on them.

    Raises:
        StorageUnavailable: the store does not respond, or rejects a checkpoint.
    """
    if isinstance(trial, Path):
        yield trial, lambda: None
        return
    with tempfile.TemporaryDirectory(prefix="tune-ode-trial-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        # `best` first, as in `Trial.save`: a crash between the two repeats both
        files = [directory / BEST_CHECKPOINT, directory / LAST_CHECKPOINT]
        with suppress(FileNotFoundError):
            files[-1].write_bytes(retry((trial / LAST_CHECKPOINT).read_bytes))
        uploaded = {file: _version(file) for file in files}

        def upload() -> None:
            for file in files:
                if (version := _version(file)) != uploaded[file]:
                    retry(partial((trial / file.name).write_bytes, file.read_bytes()))
                    uploaded[file] = version

        yield directory, upload


def _version(file: Path) -> tuple[int, int] | None:
    """Return a value that changes when a file is replaced."""
    with suppress(FileNotFoundError):
        status = file.stat()
        return status.st_ino, status.st_mtime_ns
    return None


@lru_cache(maxsize=4)
def stop_flag(run_folder: str) -> Callable[[], bool]:
    """Return a function that tests the run's stop flag without blocking.

    Args:
        run_folder: path or URL of the run.
    """
    if "://" not in run_folder:
        return (Path(run_folder) / STOP_FILE).exists
    return _RemoteStopFlag(run_folder).is_set


class _RemoteStopFlag:
    """Polls for the stop file from a thread, since a request may take long."""

    def __init__(self, run_folder: str) -> None:
        self._run_folder = run_folder
        self._set = False
        threading.Thread(target=self._poll, daemon=True).start()

    def is_set(self) -> bool:
        return self._set

    def _poll(self) -> None:
        while True:
            with suppress(TuneOdeError):  # keep the last known value
                self._set = (cached_run_path(self._run_folder) / STOP_FILE).exists()
            time.sleep(REMOTE_POLL_SECONDS)


@lru_cache(maxsize=4)
def cached_run_path(run_folder: str) -> RunPath:
    """Return a run's path or URL, opened once per process.

    Raises:
        RunFolderError: as `tune_ode.paths.run_path`.
    """
    return run_path(run_folder)
