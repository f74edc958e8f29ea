"""The Ray actor that trains trials.

Every trial process imports this module before its first trial can start, so it imports only what a
trial needs.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import ray
from ray import tune

from tune_ode.records import Report
from tune_ode.runs.checkpoints import stop_flag
from tune_ode.worker.spec import UMASK_VARIABLE
from tune_ode.worker.task import STOP_POLL_SECONDS, Task, TrialEvent
from tune_ode.worker.watchdog import Watchdog

_GRACE_SECONDS = 4.0
"""A process whose batch takes longer than this after a stop exits."""


class TrialActor(tune.Trainable):
    """Trains one trial at a time and returns one event per step; Ray reuses it between trials."""

    def setup(self, config: dict[str, Any]) -> None:
        """Load the first task."""
        if umask := os.environ.get(UMASK_VARIABLE):
            os.umask(int(umask))
        self._load(config)
        threading.Thread(target=self._exit_on_stop, daemon=True).start()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Load the next task."""
        self.cleanup()
        self._load(new_config)
        return True

    def _load(self, config: dict[str, Any]) -> None:
        self._task = Task(**config["task"])
        self._started, self._usable = False, True
        self._watchdog: Watchdog | None = None
        self._is_stopped = stop_flag(self._task.run_folder)
        self._events: Iterator[TrialEvent] = config["run_trial"](self._task)

    def _exit_on_stop(self) -> None:
        # on a stop, training saves its state after the current batch; a batch longer than the
        # grace period would delay Ctrl-C, so the process exits and loses the work since its report
        stopped = math.inf
        while time.monotonic() - stopped < _GRACE_SECONDS:
            time.sleep(STOP_POLL_SECONDS)
            stopped = min(stopped, time.monotonic()) if self._is_stopped() else math.inf
        os._exit(1)

    def step(self) -> dict[str, Any]:
        """Return the node id first, then train up to the next event and return it.

        Returns:
            `{"started": node id}`, `{"report": Report}` or `{"end": TrialEnd, "done": bool}`; not
            done is a process that cannot train another trial, which the next step ends.
        """
        if not self._usable:
            self.cleanup()
            os._exit(1)  # the end is recorded; Ray starts a new process for the next trial
        if not self._started:
            self._started = True
            return {"started": ray.get_runtime_context().get_node_id()}
        if self._watchdog is None:
            # not in `setup`: while a new process starts for a trial, Ray may give the trial to
            # one that became free; the spare must not touch the trial's files
            self._watchdog = Watchdog(self._task.folder, self._task.report_timeout)
        with self._watchdog.watching():
            event = next(self._events)
        if isinstance(event, Report):
            return {"report": event}
        self._usable = event.process_usable
        return {"end": event, "done": self._usable}

    def cleanup(self) -> None:
        """Abandon a trial that was stopped."""
        if self._watchdog is None:
            return  # it never started
        with self._watchdog.watching():
            self._events.close()  # type: ignore[attr-defined]
        self._watchdog.close()
