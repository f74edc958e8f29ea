"""SQLite connections that wait for a lock of another process, and say so."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

QUIET_SECONDS = 2.0
"""A lock that is released within this time, as those of other searches are, is not mentioned."""
LOCKED_SECONDS = 60.0
"""How long to wait; then the error of SQLite is raised."""
_POLL_SECONDS = 0.2
_Result = TypeVar("_Result")


def is_locked(error: BaseException) -> bool:
    """Return whether an error of `sqlite3` says that another process has locked the database."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extension
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class WaitingConnection(sqlite3.Connection):
    """A connection for `sqlite3.connect(factory=…)`."""

    def cursor(self, factory: Any = None) -> Any:
        """Return a cursor that waits, too."""
        return super().cursor(factory or _WaitingCursor)

    def commit(self) -> None:
        """Commit."""
        _wait_for(super().commit)


class _WaitingCursor(sqlite3.Cursor):
    def execute(self, *arguments: Any) -> sqlite3.Cursor:  # type: ignore[override]
        return _wait_for(lambda: super(_WaitingCursor, self).execute(*arguments))

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:  # type: ignore[override]
        return _wait_for(lambda: super(_WaitingCursor, self).executemany(*arguments))


def _wait_for(operation: Callable[[], _Result]) -> _Result:
    began, said = time.monotonic(), False
    while True:
        try:
            return operation()
        except sqlite3.OperationalError as error:
            waited = time.monotonic() - began
            if not is_locked(error) or waited > LOCKED_SECONDS:
                raise
        if waited > QUIET_SECONDS and not said:
            said = True
            text = "waiting for the study's database, which another process has locked …"
            with contextlib.suppress(OSError, ValueError):
                # a live display shows it above its panel
                print(text, file=sys.stderr, flush=True)
        time.sleep(_POLL_SECONDS)
