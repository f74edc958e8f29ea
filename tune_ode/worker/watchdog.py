"""End a process that hangs, and keep its Python stack."""

from __future__ import annotations

import faulthandler
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tune_ode.errors import TuneOdeError
from tune_ode.paths import RunPath
from tune_ode.records import STACK
from tune_ode.remote_path import RemotePath

_UPLOAD_SECONDS = 30.0
"""Additional time for the upload of a stack to an object store."""


class Watchdog:
    """Watch over one trial in its process.

    `faulthandler` waits and writes in a C thread, so that it also ends a process that holds the
    global interpreter lock, for example in a loop inside a library. If the run is in an object
    store, a Python thread uploads the stack first; a process that holds the lock ends without one.
    """

    def __init__(self, trial: RunPath, timeout: float | None) -> None:
        """Create a watchdog; it watches inside `watching()` only.

        Args:
            trial: path or URL of the trial; `stack.txt` is written there.
            timeout: seconds after which a block counts as hung; None: never.
        """
        self._trial = trial
        self._timeout = timeout
        self._file: IO[str] | None = None
        if timeout is not None:
            with suppress(OSError):  # a full disk is reported by the next checkpoint
                if isinstance(trial, Path):
                    self._file = _create(trial / STACK)
                else:
                    self._file = tempfile.TemporaryFile("w+")  # noqa: SIM115

    @contextmanager
    def watching(self) -> Iterator[None]:
        """End the process if the block does not finish in time."""
        if self._timeout is None or self._file is None:
            yield
            return
        timeout = self._timeout
        uploader = None
        if not isinstance(self._trial, Path):
            uploader = threading.Timer(timeout, _upload_stack, (self._trial / STACK, self._file))
            uploader.daemon = True
            uploader.start()
            timeout += _UPLOAD_SECONDS
        faulthandler.dump_traceback_later(timeout, file=self._file, exit=True)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            if uploader is not None:
                uploader.cancel()

    def close(self) -> None:
        """Remove the empty stack file of a trial that did not hang."""
        if self._file is not None:
            self._file.close()
            if isinstance(self._trial, Path):
                (self._trial / STACK).unlink(missing_ok=True)


def _create(stack: Path) -> IO[str]:
    """Create an empty file, in place of anything that has its name."""
    stack.unlink(missing_ok=True)
    return stack.open("x")


def _upload_stack(target: RemotePath, file: IO[str]) -> None:
    faulthandler.dump_traceback(file)
    file.seek(0)
    with suppress(TuneOdeError):
        target.write_bytes(file.read().encode())
    os._exit(1)
