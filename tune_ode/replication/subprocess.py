"""One training in a fresh process, with the post-training evaluation of its model.

The process is fresh since `cold_seconds` counts what a first training costs: the start of Python,
imports, data, warm-up and compilation. It does not see programs that earlier trainings compiled.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tune_ode.process.signals import block_signals
from tune_ode.process.spawn import without_main_module
from tune_ode.records import Confirmation, Outcome, Report
from tune_ode.worker.task import Task, TrialEnd, classify_error, run_trial
from tune_ode.worker.watchdog import Watchdog

PROGRAM_CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH")
"""Environment variables of the directories where torch, Triton and CUDA cache compiled programs."""
_PROGRESS_SECONDS = 0.5
"""Interval of progress events."""
TICK_SECONDS = 0.25
"""Interval of None while a process sends no event."""
_EXIT_SECONDS = 5.0


@dataclass(frozen=True)
class TrainingDone:
    """The training has completed; its evaluation follows."""


@dataclass(frozen=True)
class ProcessDied:
    """The process died without sending a `TrialEnd`."""


Event = float | Report | TrainingDone | Confirmation | TrialEnd | ProcessDied
"""Epochs trained so far, a report, the evaluation, or an end."""


class TrainingProcess:
    """A training in a fresh process; iterate over its events.

    Args:
        task: what to train; the trial's directory exists.
        from_scratch: whether it starts without a checkpoint.
    """

    def __init__(self, task: Task, *, from_scratch: bool) -> None:
        self._from_scratch = from_scratch
        self._ended = False
        # a separate directory hides what earlier processes compiled
        self._caches = tempfile.TemporaryDirectory(
            prefix="tune-ode-programs-", ignore_cleanup_errors=True
        )
        spawn = multiprocessing.get_context("spawn")
        self._events, sender = spawn.Pipe(duplex=False)
        self._process = spawn.Process(
            target=_work, args=(task.to_dict(), sender, self._caches.name), daemon=True
        )
        self._started = time.perf_counter()
        with without_main_module(), block_signals():  # the stop flag ends it
            self._process.start()
        sender.close()  # the pipe then closes when the process ends

    def __iter__(self) -> Iterator[Event | None]:
        """Yield events, and None at intervals without one; last a `TrialEnd` or `ProcessDied`."""
        cold: float | None = None
        while not self._ended:
            if not self._events.poll(TICK_SECONDS):
                yield None
                continue
            try:
                event = self._events.recv()
            except (EOFError, OSError):
                yield ProcessDied()
                return
            if isinstance(event, TrainingDone) and self._from_scratch:
                cold = time.perf_counter() - self._started
            if isinstance(event, Confirmation):
                event = dataclasses.replace(event, cold_seconds=cold)
            self._ended = isinstance(event, TrialEnd)
            yield event

    def close(self) -> None:
        """End the process."""
        self._events.close()
        # one that has sent its last event needs a moment to exit
        self._process.join(_EXIT_SECONDS if self._ended else 0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._caches.cleanup()


def _work(values: dict[str, Any], events: Connection, caches: str) -> None:
    _exit_with_parent(caches)
    for name in PROGRAM_CACHES:
        os.environ[name] = str(Path(caches) / name.lower())
    with contextlib.suppress(BrokenPipeError):
        _send_events(Task(**values), events)


def _send_events(task: Task, events: Connection) -> None:
    last_progress = 0.0

    def on_batch(epoch: float) -> None:
        nonlocal last_progress
        if time.monotonic() - last_progress > _PROGRESS_SECONDS:
            last_progress = time.monotonic()
            events.send(epoch)

    watchdog = Watchdog(task.folder, task.report_timeout)
    trial = run_trial(task, on_batch)
    event = None
    while not isinstance(event, TrialEnd):
        with watchdog.watching():
            event = next(trial)
            completed = isinstance(event, TrialEnd) and event.outcome is Outcome.COMPLETED
            if completed and not task.evaluate_test:
                events.send(TrainingDone())
                try:
                    from tune_ode.replication.evaluation import evaluate_model

                    events.send(evaluate_model(task))
                except Exception as error:
                    event = classify_error(error)
        if isinstance(event, TrialEnd):
            watchdog.close()
        events.send(event)


def _exit_with_parent(caches: str) -> None:
    """Exit when the parent does, so that a restarted parent finds no process at its training.

    The program caches, which the parent would have removed, are removed too.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait([parent.sentinel])
        shutil.rmtree(caches, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
