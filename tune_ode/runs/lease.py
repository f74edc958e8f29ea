"""Keeps a second driver out of a run in an object store, which has no locks.

An object in the run says who writes to it and when that one was last heard of. It is fresh while
its driver renews it; a driver that finds another's name in it has lost the run, and writes no more.
Between two drivers that start within the same second this decides a little late, but before either
has started a trial.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from typing import Any

from tune_ode import records
from tune_ode.errors import RunFolderError, StorageUnavailable, TuneOdeError
from tune_ode.remote_path import RemotePath

LEASE = ".driver.json"
RENEW_SECONDS = 15.0
STALE_SECONDS = 60.0
"""Unrenewed for so long, a lease is nobody's; the clocks of two machines may differ by less."""
SETTLE_SECONDS = 1.0
"""Between writing a lease and reading it back: whoever wrote last has it."""


class Lease:
    """The right to write to a run, from here on until `release`."""

    def __init__(self, run: RemotePath) -> None:
        """Take it, and renew it from a thread.

        Args:
            run: the run's folder in the store.

        Raises:
            RunFolderError: another driver has it, or the store cannot be written.
        """
        self._run = run
        self._object = run / LEASE
        self._id = uuid.uuid4().hex
        self._taken_over = False
        self._renewed = 0.0
        self._released = threading.Event()
        self._refuse_if_held()
        self._write()
        time.sleep(SETTLE_SECONDS)
        self._refuse_if_held()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Make sure that it is still held, before a write.

        Raises:
            StorageLost: another driver has taken the run over.
            RunFolderError: the store does not answer.
        """
        # by the clock that runs on while a machine sleeps, during which another may have begun
        if time.time() - self._renewed > STALE_SECONDS - RENEW_SECONDS:
            self._renew()
        if self._taken_over:
            raise StorageUnavailable(
                f"another process has taken over {self._run}, as this one was not heard of for "
                "too long; what it goes on with is all that was finished"
            )

    def release(self) -> None:
        """Give it back, if it is still held."""
        self._released.set()
        self._thread.join(timeout=STALE_SECONDS)
        if not self._taken_over:
            with suppress(TuneOdeError, FileNotFoundError):
                self._object.unlink()

    # --- inside -----------------------------------------------------------------------------

    def _refuse_if_held(self) -> None:
        held = records.read_json(self._object)
        if held is not None and held.get("id") != self._id and _is_fresh(held):
            raise RunFolderError(
                f"another process is writing to {self._run} (process {held.get('pid')} on "
                f"{held.get('host')}); wait for it, or stop it first: one that was killed there is "
                f"forgotten after {STALE_SECONDS:g} s"
            )

    def _keep(self) -> None:
        while not self._released.wait(RENEW_SECONDS):
            with suppress(TuneOdeError):  # a store that is away for a while
                self._renew()

    def _renew(self) -> None:
        held = records.read_json(self._object)
        if held is not None and held.get("id") != self._id:
            self._taken_over = True
            return
        self._write()

    def _write(self) -> None:
        now = time.time()
        named = {"id": self._id, **_here(), "pid": os.getpid(), "time": now}
        self._object.write_bytes(records.dumps(named).encode())
        self._renewed = now


def _is_fresh(held: dict[str, Any]) -> bool:
    """Return whether the driver that a lease names may still be at work."""
    here = all(held.get(name) == value for name, value in _here().items())
    if here and not _runs(held.get("pid")):
        return False
    written = held.get("time")
    return isinstance(written, int | float) and time.time() - written < STALE_SECONDS


def _here() -> dict[str, str]:
    # two containers may share a host's name and yet not see each other's processes
    namespace = ""
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return {"host": socket.gethostname(), "processes": namespace}


def _runs(pid: object) -> bool:
    try:
        os.kill(int(str(pid)), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return True
