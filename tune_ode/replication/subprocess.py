"""One training in a process of its own, from its start to the examination of what it learned.

A training that is scored on the test set as it goes, in a comparison, is not examined.

A fresh process, since `cold_seconds` counts what a first training costs: Python's start, imports,
data, warm-up and compilation. Programs that earlier trainings compiled are out of its reach.
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
from typing import TYPE_CHECKING, Any

from tune_ode.config import TrialConfig
from tune_ode.records import Confirmation, Outcome, Report
from tune_ode.worker.signals import interrupts_stay_here
from tune_ode.worker.task import Task, TrialEnd, classify_error, load_cached, run_trial
from tune_ode.worker.watchdog import Watchdog

if TYPE_CHECKING:
    from tune_ode.replication.evaluation import ModelEvaluation

PROGRAM_CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH")
"""Variables that name where torch, Triton and CUDA keep what they have compiled."""
_TELL_SECONDS = 0.5
"""Between two words on how far the training is."""
TICK_SECONDS = 0.25
"""Between two looks at what a process has to say."""
_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class TrainingDone:
    """The training has ended well; what follows is the examination."""


@dataclass(frozen=True)
class ProcessDied:
    """The process died without a word."""


Event = float | Report | TrainingDone | Confirmation | TrialEnd | ProcessDied
"""Epochs trained so far; a report; how it is examined, and the end."""


class TrainingProcess:
    """A training in a fresh process; iterate over its words.

    Args:
        task: what to train; its folder exists.
        first: whether it starts anew, and not from a checkpoint.
    """

    def __init__(self, task: Task, *, first: bool) -> None:
        self._task = task
        self._first = first
        self._ended = False
        # what an earlier process compiled, this one must not find
        self._caches = tempfile.TemporaryDirectory(
            prefix="tune-ode-programs-", ignore_cleanup_errors=True
        )
        spawn = multiprocessing.get_context("spawn")
        self._words, ours = spawn.Pipe(duplex=False)
        self._process = spawn.Process(
            target=_work, args=(task.to_dict(), ours, self._caches.name), daemon=True
        )
        self._started = time.perf_counter()
        with interrupts_stay_here():  # the stop file tells it what to do
            self._process.start()
        ours.close()  # so that the pipe ends with the process

    def __iter__(self) -> Iterator[Event | None]:
        """Yield every word, and None where nothing was said for a moment; last Ending or Lost."""
        cold: float | None = None
        while True:
            if not self._words.poll(TICK_SECONDS):
                yield None
                continue
            try:
                word = self._words.recv()
            except (EOFError, OSError):
                yield ProcessDied()
                return
            if isinstance(word, TrainingDone) and self._first:
                cold = time.perf_counter() - self._started
            if isinstance(word, Confirmation):
                word = dataclasses.replace(word, cold_seconds=cold)
            self._ended = isinstance(word, TrialEnd)
            yield word
            if self._ended:
                return

    def close(self) -> None:
        """End the process, whatever it does."""
        self._words.close()
        # one that has said its last word needs a moment to leave
        self._process.join(_GRACE_SECONDS if self._ended else 0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._caches.cleanup()


# --- in the process -----------------------------------------------------------------------------


def _work(values: dict[str, Any], words: Connection, caches: str) -> None:
    _follow_parent(caches)
    for name in PROGRAM_CACHES:
        os.environ[name] = str(Path(caches) / name.lower())
    with contextlib.suppress(BrokenPipeError):
        _say_all(Task(**values), words)


def _say_all(task: Task, words: Connection) -> None:
    told = 0.0

    def on_batch(epoch: float) -> None:
        nonlocal told
        if time.monotonic() - told > _TELL_SECONDS:
            told = time.monotonic()
            words.send(epoch)

    watchdog = Watchdog(task.folder, task.report_timeout)
    messages = run_trial(task, on_batch)
    while True:
        with watchdog.watching():
            message = next(messages)
            completed = isinstance(message, TrialEnd) and message.outcome is Outcome.COMPLETED
            if completed and not task.evaluate_test:
                words.send(TrainingDone())
                try:
                    words.send(_confirmation(task))
                except Exception as error:
                    message = classify_error(error)
        if isinstance(message, TrialEnd):
            watchdog.close()
            words.send(message)
            return
        words.send(message)


def _confirmation(task: Task) -> Confirmation:
    import torch

    from tune_ode.replication.evaluation import evaluate_model

    config = TrialConfig.from_dict(task.config)
    found: ModelEvaluation = evaluate_model(
        task.folder, load_cached(config.data, task.data_dir), torch.device(task.device)
    )
    return Confirmation(
        trial_id=task.trial_id, threads=task.threads, cold_seconds=None, **vars(found)
    )


def _follow_parent(caches: str) -> None:
    """End when the parent does: a confirmation that goes on must find nobody at its training.

    What the parent would have removed then goes with it.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait([parent.sentinel])
        shutil.rmtree(caches, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
