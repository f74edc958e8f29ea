"""What a trial's process has to do with its run's place: its checkpoints, and the sign to stop.

The training itself knows files alone. Of a run in an object store it gets a scratch folder, from
which its checkpoints are put into the store between two of its steps, off the clock.
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
"""Between two looks for the stop file in an object store: each is a request that is paid for."""


@contextmanager
def checkpoints(trial: RunPath) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Give a training a folder for its checkpoints, with `last` in it where there is one.

    Args:
        trial: its place in the run.

    Yields:
        The folder, and what brings the checkpoints written there since into the run; to be called
        before anything that relies on them is said.

    Raises:
        StorageLost: the store does not answer, or does not take a checkpoint.
    """
    if isinstance(trial, Path):
        yield trial, lambda: None
        return
    with tempfile.TemporaryDirectory(prefix="tune-ode-trial-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # as `Trial.save` does: between the two, a crash repeats both
        files = [folder / BEST_CHECKPOINT, folder / LAST_CHECKPOINT]
        with suppress(FileNotFoundError):
            files[-1].write_bytes(retry((trial / LAST_CHECKPOINT).read_bytes))
        there = {file: _written(file) for file in files}

        def put() -> None:
            for file in files:
                if (written := _written(file)) != there[file]:
                    retry(partial((trial / file.name).write_bytes, file.read_bytes()))
                    there[file] = written

        yield folder, put


def _written(file: Path) -> tuple[int, int] | None:
    """Return what differs between two files that stood under one name."""
    with suppress(FileNotFoundError):
        status = file.stat()
        return status.st_ino, status.st_mtime_ns
    return None


@lru_cache(maxsize=4)
def stop_flag(run_folder: str) -> Callable[[], bool]:
    """Return what says whether a run's trials are asked to stop; it answers without delay.

    Args:
        run_folder: the run's folder or URL.
    """
    if "://" not in run_folder:
        return (Path(run_folder) / STOP_FILE).exists
    return _RemoteStopFlag(run_folder).is_up


class _RemoteStopFlag:
    """Looks for a stop file in an object store from a thread: its answer may take long."""

    def __init__(self, run_folder: str) -> None:
        self._run_folder = run_folder
        self._up = False
        threading.Thread(target=self._look, daemon=True).start()

    def is_up(self) -> bool:
        return self._up

    def _look(self) -> None:
        while True:
            with suppress(TuneOdeError):  # what was true a moment ago still is
                self._up = (run_place(self._run_folder) / STOP_FILE).exists()
            time.sleep(REMOTE_POLL_SECONDS)


@lru_cache(maxsize=4)
def run_place(run_folder: str) -> RunPath:
    """Return a run's place, opened once in a process.

    Raises:
        RunFolderError: as `tune_ode.paths.place`.
    """
    return run_path(run_folder)
