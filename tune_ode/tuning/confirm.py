"""Trains a run's best configurations again: fresh seeds, one at a time, the device to itself.

The run's folder `confirm/` is a run folder of its own: configurations, report lines, outcomes and
checkpoints stand in it as a search's do, so whatever reads a run reads it too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from analysis.place import Place
from tune_ode.records import CONFIRM, Outcome, RunManifest
from tune_ode.tuning.confirm_plan import ConfirmPlan
from tune_ode.tuning.confirming import Confirming
from tune_ode.tuning.provenance import hardware, revision, versions
from tune_ode.tuning.retraining import Retraining, Word
from tune_ode.tuning.run_folder import RunFolder
from tune_ode.tuning.run_store import open_run, take_up_run
from tune_ode.tuning.signals import on_signal
from tune_ode.tuning.task import Task
from tune_ode.tuning.training_plan import TrainingPlan


class Process(Protocol):
    """A training in a process of its own."""

    def __iter__(self) -> Iterator[Word | None]:
        """Yield its words."""

    def close(self) -> None:
        """End it."""


Start = Callable[[Task, bool], Process]


@dataclass(frozen=True)
class ConfirmEnd:
    """How a confirmation, or a comparison, ended."""

    interrupted: bool
    outcomes: Counter[Outcome]
    """Of the trainings of this start."""


@contextmanager
def locked(folder: Place) -> Iterator[None]:
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
    watch: Callable[[Confirming], Callable[[], None]] = lambda confirming: lambda: None,
    *,
    start: Start | None = None,
) -> ConfirmEnd:
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
    watch: Callable[[Confirming], Callable[[], None]],
    *,
    start: Start | None = None,
) -> ConfirmEnd:
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
        confirming = Confirming(folder, chosen)
        tick = watch(confirming)
        try:
            with on_signal(confirming.stop):
                while (task := confirming.next_task()) is not None:
                    first = confirming.anew(task)
                    process = start(task, first) if start else Retraining(task, first=first)
                    _attend(confirming, process, tick)
        finally:
            confirming.close()
    finally:
        folder.close()
    return ConfirmEnd(
        interrupted=confirming.interrupted and confirming.finished < confirming.total,
        outcomes=Counter(outcome.outcome for outcome in confirming.done.values()),
    )


def _attend(confirming: Confirming, process: Process, tick: Callable[[], None]) -> None:
    try:
        for word in process:
            confirming.hear(word)
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
        "dataset": run.question.get("dataset"),
        "data_dir": chosen.data_dir,
        "top": chosen.top,
        "seeds": len(chosen.seeds),
        "trainings": len(chosen.seeds) * len(chosen.candidates),
        "default": chosen.default,
    }
    return take_up_run(
        chosen.folder,
        RunManifest(
            name=f"{run.name}-{CONFIRM}",
            state="running",
            question=asked,
            space={},
            base=run.base,
            chance=run.chance,
            trial_seconds=run.trial_seconds,
            validation_images=run.validation_images,
            created=time.time(),
            versions=versions(),
            revision=revision(),
            hardware=hardware(chosen.resources),
        ),
    )
