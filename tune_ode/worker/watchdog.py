"""Ends a process that has been silent for too long, and keeps the stack it was stuck in."""

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

_PUT_SECONDS = 30.0
"""More that a process is given to put its stack into an object store."""


class Watchdog:
    """Watches over one trial in its own process.

    `faulthandler` waits and writes in a thread of C's, so that it also ends what holds Python's
    lock, as a loop inside a library does. Of a run in an object store, a thread of Python's puts
    the stack there before; what holds Python's lock ends without one.
    """

    def __init__(self, folder: RunPath, seconds: float | None) -> None:
        """Watch from the first `with watchdog.watching():` on.

        Args:
            folder: the trial's; `stack.txt` is written there.
            seconds: how long silence may last; None: for ever.
        """
        self._folder = folder
        self._seconds = seconds
        self._file: IO[str] | None = None
        if seconds is not None:
            with suppress(OSError):  # on a full disk, the next checkpoint says so
                if isinstance(folder, Path):
                    self._file = (folder / STACK).open("w")
                else:
                    self._file = tempfile.TemporaryFile("w+")  # noqa: SIM115

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Expect the block to end in time; end the process otherwise."""
        if self._seconds is None or self._file is None:
            yield
            return
        seconds = self._seconds
        messenger = None
        if not isinstance(self._folder, Path):
            messenger = threading.Timer(seconds, _put_stack, (self._folder / STACK, self._file))
            messenger.daemon = True
            messenger.start()
            seconds += _PUT_SECONDS
        faulthandler.dump_traceback_later(seconds, file=self._file, exit=True)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            if messenger is not None:
                messenger.cancel()

    def close(self) -> None:
        """Leave nothing behind: nothing was stuck."""
        if self._file is not None:
            self._file.close()
            if isinstance(self._folder, Path):
                (self._folder / STACK).unlink(missing_ok=True)


def _put_stack(there: RemotePath, file: IO[str]) -> None:
    faulthandler.dump_traceback(file)
    file.seek(0)
    with suppress(TuneOdeError):
        there.write_bytes(file.read().encode())
    os._exit(1)
