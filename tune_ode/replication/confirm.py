"""Trains a run's best configurations again: fresh seeds, one at a time, the device to itself.

The run's folder `confirm/` is a run folder of its own: configurations, report lines, outcomes and
checkpoints stand in it as a search's do, so whatever reads a run reads it too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from tune_ode.paths import RunPath
from tune_ode.records import CONFIRM, Outcome
from tune_ode.replication.confirm_plan import ConfirmPlan
from tune_ode.replication.plan import TrainingPlan
from tune_ode.replication.runner import ReplicationRunner
from tune_ode.replication.subprocess import Event, TrainingProcess
from tune_ode.runs.folder import RunFolder
from tune_ode.runs.open import open_or_create_run, open_run
from tune_ode.runs.provenance import new_manifest
from tune_ode.worker.signals import on_signal
from tune_ode.worker.task import Task


class Process(Protocol):
    """A training in a process of its own."""

    def __iter__(self) -> Iterator[Event | None]:
        """Yield its words."""

    def close(self) -> None:
        """End it."""


Start = Callable[[Task, bool], Process]


@dataclass(frozen=True)
class ReplicationResult:
    """How a confirmation, or a comparison, ended."""

    interrupted: bool
    outcomes: Counter[Outcome]
    """Of the trainings of this start."""


@contextmanager
def locked(folder: RunPath) -> Iterator[None]:
    """Keep searches and other confirmations away from a run.

    Raises:
        RunFolderError: no run, or another process is writing to it.
    """
    run = open_run(folder)
    try:
        yield
    finally:
        run.close()


def confirm(
    chosen: ConfirmPlan,
    watch: Callable[[ReplicationRunner], Callable[[], None]] = lambda confirming: lambda: None,
    *,
    start: Start | None = None,
) -> ReplicationResult:
    """Train what is left to train, under `locked`.

    Args:
        chosen: what to train.
        watch: given the state, returns what to call after every word.
        start: starts a training; None: in a process of its own.

    Raises:
        RunFolderError: the folder cannot be written.
        StorageFull: the disk filled up.
    """
    return train_all(_open(chosen), chosen, watch, start=start)


def train_all(
    folder: RunFolder,
    chosen: TrainingPlan,
    watch: Callable[[ReplicationRunner], Callable[[], None]],
    *,
    start: Start | None = None,
) -> ReplicationResult:
    """Train what is left of a plan, one training at a time; close the folder.

    Args:
        folder: where they are kept.
        chosen: what to train.
        watch: given the state, returns what to call after every word.
        start: starts a training; None: in a process of its own.

    Raises:
        RunFailed: a training could not go on, and nor could another.
        StorageFull: the disk filled up.
    """
    try:
        confirming = ReplicationRunner(folder, chosen)
        tick = watch(confirming)
        try:
            with on_signal(confirming.stop):
                while (task := confirming.next_task()) is not None:
                    first = confirming.is_first_attempt(task)
                    process = start(task, first) if start else TrainingProcess(task, first=first)
                    _attend(confirming, process, tick)
        finally:
            confirming.close()
    finally:
        folder.close()
    return ReplicationResult(
        interrupted=confirming.interrupted and confirming.finished < confirming.total,
        outcomes=Counter(outcome.outcome for outcome in confirming.done.values()),
    )


def _attend(confirming: ReplicationRunner, process: Process, tick: Callable[[], None]) -> None:
    try:
        for word in process:
            confirming.handle(word)
            tick()
            if confirming.leaves_at_once:
                break
    finally:
        process.close()


def _open(chosen: ConfirmPlan) -> RunFolder:
    """Open the confirmation's folder, made at first, and write down what is asked of it now."""
    run = chosen.run.manifest
    asked = {
        "command": CONFIRM,
        "dataset": run.options.get("dataset"),
        "data_dir": chosen.data_dir,
        "top": chosen.top,
        "seeds": len(chosen.seeds),
        "trainings": len(chosen.seeds) * len(chosen.candidates),
        "default": chosen.default,
    }
    return open_or_create_run(
        chosen.folder,
        new_manifest(
            f"{run.name}-{CONFIRM}",
            asked,
            chosen.resources,
            base=run.base,
            chance=run.chance,
            trial_seconds=run.trial_seconds,
            validation_images=run.validation_images,
        ),
    )
