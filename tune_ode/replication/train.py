"""Train what is left of a plan: one training at a time, which has the device to itself.

Trainings are kept in a run directory, with the same files as a search.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from tune_ode.errors import Interrupted
from tune_ode.paths import RunPath
from tune_ode.process.signals import on_signal
from tune_ode.records import Outcome
from tune_ode.replication.plan import TrainingPlan
from tune_ode.replication.runner import ReplicationRunner
from tune_ode.replication.subprocess import Event, TrainingProcess
from tune_ode.runs.open import open_or_create_run, open_run
from tune_ode.worker.task import Task


class Process(Protocol):
    """A training in a separate process."""

    def __iter__(self) -> Iterator[Event | None]:
        """Yield its events, and None at intervals without one."""

    def close(self) -> None:
        """End it."""


class StartTraining(Protocol):
    """Starts a training; `TrainingProcess`, or a stand-in for it."""

    def __call__(self, task: Task, *, from_scratch: bool) -> Process:
        """Start it, with or without a checkpoint to resume from."""


@dataclass(frozen=True)
class ReplicationResult:
    """How a confirmation or comparison ended."""

    interrupted: bool
    outcomes: Counter[Outcome]
    """Outcomes of the trainings since the last start."""
    resume_command: str


@contextmanager
def locked(run: RunPath) -> Iterator[None]:
    """Keep searches and other confirmations from a run during the block.

    Raises:
        RunFolderError: there is no run, or another process is writing to it.
    """
    folder = open_run(run)
    try:
        yield
    finally:
        folder.close()


def train_all(
    plan: TrainingPlan,
    watch: Callable[[ReplicationRunner], Callable[[], None]] = lambda runner: lambda: None,
    *,
    start: StartTraining | None = None,
) -> ReplicationResult:
    """Train what is left of a plan.

    Args:
        plan: what to train.
        watch: takes the runner and returns a function to call after every event.
        start: starts a training; None: `TrainingProcess`.

    Raises:
        Interrupted: Ctrl-C was pressed twice.
        RunFolderError: the run cannot be written, or another process is writing to it.
        RunFailed: a training failed for a reason that affects the others too.
        StorageFull: the disk is full.
    """
    folder = open_or_create_run(plan.folder, plan.manifest())
    try:
        runner = ReplicationRunner(folder, plan)
        on_event = watch(runner)
        try:
            with on_signal(runner.stop):
                while (task := runner.next_task()) is not None:
                    from_scratch = runner.is_first_attempt(task)
                    process = (start or TrainingProcess)(task, from_scratch=from_scratch)
                    _run(runner, process, on_event)
        finally:
            runner.close()
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; to continue: {folder.resume_command}") from None
    finally:
        folder.close()
    return ReplicationResult(
        interrupted=runner.interrupted and runner.finished < runner.total,
        outcomes=Counter(result.outcome for result in runner.results.values()),
        resume_command=folder.resume_command,
    )


def _run(runner: ReplicationRunner, process: Process, on_event: Callable[[], None]) -> None:
    try:
        for event in process:
            runner.handle(event)
            on_event()
            if runner.should_abort:
                break
    finally:
        process.close()
