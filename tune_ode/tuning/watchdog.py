"""Ends a process that has been silent for too long, and keeps the stack it was stuck in."""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tune_ode.records import STACK


class Watchdog:
    """Watches over one trial in its own process.

    `faulthandler` waits and writes in a thread of C's, so that it also ends what holds Python's
    lock, as a loop inside a library does.
    """

    def __init__(self, folder: Path, seconds: float | None) -> None:
        """Watch from the first `with watchdog.watching():` on.

        Args:
            folder: the trial's; `stack.txt` is written there.
            seconds: how long silence may last; None: for ever.
        """
        self._seconds = seconds
        self._file = None
        if seconds is not None:
            with suppress(OSError):  # on a full disk, the next checkpoint says so
                self._file = (folder / STACK).open("w")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Expect the block to end in time; end the process otherwise."""
        if self._seconds is None or self._file is None:
            yield
            return
        faulthandler.dump_traceback_later(self._seconds, file=self._file, exit=True)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()

    def close(self) -> None:
        """Leave nothing behind: nothing was stuck."""
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)


def stack_left(folder: Path) -> str | None:
    """Return the stack in which a trial's process was stuck, or None if it ended otherwise."""
    file = folder / STACK
    with suppress(OSError):
        if stack := file.read_text(errors="replace"):
            return stack
        file.unlink()  # of a process that died in another way
    return None
