"""Lease on a run in an object store, which has no file locks.

An object in the run names the process that writes to it and when it last renewed the lease. A
process that finds another's name in the lease has lost the run and stops writing. Two processes
that start within the same second are separated after `SETTLE_SECONDS`, before either has started a
trial.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass

from tune_ode import records
from tune_ode.errors import RunFolderError, StorageUnavailable, TuneOdeError
from tune_ode.records.record import Count, Instant, Record
from tune_ode.remote_path import RemotePath

LEASE = ".driver.json"
RENEW_SECONDS = 15.0
STALE_SECONDS = 60.0
"""A lease expires after this long; the clocks of two machines must differ by less."""
SETTLE_SECONDS = 1.0
"""Wait between writing a lease and reading it back: the last writer wins."""


@dataclass(frozen=True, kw_only=True)
class _Holder(Record):
    """The process that a lease names."""

    id: str
    host: str
    processes: str
    pid: Count
    time: Instant

    def may_be_alive(self) -> bool:
        """Return whether the process may still be running."""
        if (self.host, self.processes) == _this_host() and not records.is_running(self.pid):
            return False
        # in the future by more than clocks may differ, it would never expire
        return abs(time.time() - self.time) < STALE_SECONDS


class Lease:
    """Exclusive right to write to a run, until `release`."""

    def __init__(self, run: RemotePath) -> None:
        """Acquire the lease and start a thread that renews it.

        Args:
            run: the run's URL.

        Raises:
            RunFolderError: another process holds the lease, or the store cannot be written.
        """
        self._run = run
        self._object = run / LEASE
        self._id = uuid.uuid4().hex
        self._taken_over = False
        self._renewed = 0.0
        self._released = threading.Event()
        self._require_free()
        self._write()
        time.sleep(SETTLE_SECONDS)
        self._require_free()
        self._thread = threading.Thread(target=self._renew_periodically, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Verify before a write that the lease is still held.

        Raises:
            StorageUnavailable: another process has taken over the run.
            RunFolderError: the store is unavailable.
        """
        # wall-clock time continues while a machine sleeps; monotonic time may not
        if time.time() - self._renewed > STALE_SECONDS - RENEW_SECONDS:
            self._renew()
        if self._taken_over:
            raise StorageUnavailable(
                f"another process has taken over {self._run}, since this one did not renew its "
                "lease in time; it continues from the finished work"
            )

    def release(self) -> None:
        """Release the lease, if it is still held."""
        self._released.set()
        self._thread.join(timeout=STALE_SECONDS)
        if not self._taken_over:
            with suppress(TuneOdeError, FileNotFoundError):  # otherwise it expires
                self._object.unlink()

    def _require_free(self) -> None:
        held = _read(self._object)
        if held is not None and held.id != self._id and held.may_be_alive():
            raise RunFolderError(
                f"another process is writing to {self._run} (process {held.pid} on "
                f"{held.host}); wait for it, or stop it first: a killed process's lease "
                f"expires after {STALE_SECONDS:g} s"
            )

    def _renew_periodically(self) -> None:
        while not self._released.wait(RENEW_SECONDS):
            with suppress(TuneOdeError):  # the store may be available again next time
                self._renew()

    def _renew(self) -> None:
        held = _read(self._object)
        if held is not None and held.id != self._id:
            self._taken_over = True
            return
        self._write()

    def _write(self) -> None:
        now = time.time()
        host, processes = _this_host()
        held = _Holder(id=self._id, host=host, processes=processes, pid=os.getpid(), time=now)
        self._object.write_bytes(records.encode(records.dumps(held.to_json())))
        self._renewed = now


def is_leased(run: RemotePath) -> bool:
    """Return whether a process that may be alive holds the lease on a run."""
    held = _read(run / LEASE)
    return held is not None and held.may_be_alive()


def _read(lease: RemotePath) -> _Holder | None:
    try:
        return records.read_record(lease, _Holder)
    except (records.InvalidRecord, OSError):  # nobody's
        return None


def _this_host() -> tuple[str, str]:
    """Return the host name and the namespace of its processes, which containers do not share."""
    namespace = ""
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return socket.gethostname(), namespace
