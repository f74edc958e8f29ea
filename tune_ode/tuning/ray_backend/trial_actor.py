"""The process of a trial, as Ray Tune has it.

It is imported in every such process, before the first trial can begin: so it imports what a trial
needs, and nothing that the search needs besides.
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
from tune_ode.worker.task import STOP_POLL_SECONDS, Task, TrialEvent
from tune_ode.worker.watchdog import Watchdog

_GRACE_SECONDS = 4.0
"""A process whose batch does not end that long after a stop ends itself."""


class TrialActor(tune.Trainable):
    """The process that trains: one message a step, reused from trial to trial."""

    def setup(self, config: dict[str, Any]) -> None:
        """Take the first task."""
        self._take(config)
        threading.Thread(target=self._leave_when_told, daemon=True).start()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next task."""
        self.cleanup()
        self._take(new_config)
        return True

    def _take(self, config: dict[str, Any]) -> None:
        self._task = Task(**config["task"])
        self._begun = False
        self._watchdog: Watchdog | None = None
        self._told_to_stop = stop_flag(self._task.run_folder)
        self._messages: Iterator[TrialEvent] = config["answer"](self._task)

    def _leave_when_told(self) -> None:
        # a training saves its state and ends after the batch it is in; one whose batch takes
        # longer than this would keep Ctrl-C waiting, and loses what came after its last report
        told = math.inf
        while time.monotonic() - told < _GRACE_SECONDS:
            time.sleep(STOP_POLL_SECONDS)
            told = min(told, time.monotonic()) if self._told_to_stop() else math.inf
        os._exit(1)

    def step(self) -> dict[str, Any]:
        """Tell first of all where the trial runs; then train up to the next message."""
        if not self._begun:
            self._begun = True
            return {"begun": ray.get_runtime_context().get_node_id()}
        if self._watchdog is None:
            # only now: Ray may give a trial to a process that has become free while a new one
            # starts for it; the spare takes the task too, and must not touch the trial's files
            self._watchdog = Watchdog(self._task.folder, self._task.report_timeout)
        with self._watchdog.watching():
            message = next(self._messages)
        if isinstance(message, Report):
            return {"line": message}
        return {"ending": message, "done": True}

    def cleanup(self) -> None:
        """Leave a trial that was stopped."""
        if self._watchdog is None:
            return  # it never began
        with self._watchdog.watching():
            self._messages.close()  # type: ignore[attr-defined]
        self._watchdog.close()
