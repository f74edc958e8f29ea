"""Runs a `Search` on a simulated clock, with recorded trials in place of trainings.

The search, its sampler, its scheduler and its run directory are real; only the trainings and the
clock are simulated.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tune_ode.records import Outcome, Report
from tune_ode.simulation.recordings import NearestTrial, Point, Recordings
from tune_ode.tuning.search.search import Search
from tune_ode.worker.task import Task, TrialEnd, TrialEvent

RESTART_OVERHEAD = 0.05
"""Seconds between two trials of a worker (benchmarks.overhead)."""
WORKERS_PER_NODE = 8
_HORIZON = 10_000
"""Batches of a simulated trial; only the share that is trained matters."""


@dataclass
class SimulatedClock:
    """Simulated Unix time, starting at 0."""

    now: float = 0.0

    def __call__(self) -> float:
        """Return the seconds since the start of the simulation."""
        return self.now


@dataclass(frozen=True)
class Observation:
    """A validation accuracy that the search received."""

    time: float
    """When it was received, on the simulated clock."""
    trial_id: str
    train_seconds: float
    val_accuracy: float


RunSimulatedTrial = Callable[[Task, Mapping[str, Any], str], Iterator[tuple[float, TrialEvent]]]
"""(task, params, node) → events in order, each with the seconds since the start of the trial."""


def run_simulated(
    search: Search,
    clock: SimulatedClock,
    *,
    workers: int,
    run_trial: RunSimulatedTrial,
    restart_overhead: float = RESTART_OVERHEAD,
) -> list[Observation]:
    """Run a search to its end and return its observations in order.

    Args:
        search: search that uses `clock`.
        clock: advanced by this function.
        workers: number of concurrent trials.
        run_trial: yields the events of a trial.
        restart_overhead: seconds between two trials of a worker.
    """
    observations: list[Observation] = []
    queue: list[tuple[float, int]] = [(0.0, worker) for worker in range(workers)]
    """Time of the next event of each worker."""
    trials: dict[int, tuple[float, Task, Iterator[tuple[float, TrialEvent]]]] = {}
    next_events: dict[int, TrialEvent] = {}

    def schedule_next(worker: int) -> None:
        started, _, events = trials[worker]
        seconds, next_events[worker] = next(events)
        heapq.heappush(queue, (started + seconds, worker))

    end = math.inf if search.budget.seconds is None else clock.now + search.budget.seconds
    while queue:
        time, worker = heapq.heappop(queue)
        clock.now = min(time, end)
        if search.should_stop():
            break
        if worker not in trials:
            task = search.next_task()
            if task is None:
                continue
            search.on_start(task.trial_id)
            params = search.running[task.trial_id].spec.params
            node = f"node{worker // WORKERS_PER_NODE}"
            trials[worker] = clock.now, task, run_trial(task, params, node)
            schedule_next(worker)
            continue
        event = next_events.pop(worker)
        if isinstance(event, Report):
            if event.val_accuracy is not None:
                observations.append(
                    Observation(time, event.trial_id, event.train_seconds, event.val_accuracy)
                )
            running = search.on_report(event)
        else:
            search.on_end(trials[worker][1].trial_id, event)
            running = False
        if running:
            schedule_next(worker)
        else:
            del trials[worker]
            heapq.heappush(queue, (time + restart_overhead, worker))
    return observations


def replay(recordings: Recordings) -> RunSimulatedTrial:
    """Return a function that replays the recorded trial nearest to a task's point.

    See `Recording.within` for budgets and stopped trials.
    """
    nearest = NearestTrial(recordings.space, recordings.trials)

    def run_trial(
        task: Task, params: Mapping[str, Any], node: str
    ) -> Iterator[tuple[float, TrialEvent]]:
        recording = recordings.trials[nearest.index(params)]
        seconds = 0.0
        for point in recording.within(task.budget_seconds, recordings.chance):
            seconds = point.wall_seconds
            yield seconds, _report(task, point, recording.epochs, node)
        stopped = recording.outcome is Outcome.STOPPED
        yield seconds, TrialEnd(outcome=Outcome.COMPLETED if stopped else recording.outcome)

    return run_trial


def _report(task: Task, point: Point, epochs: float, node: str) -> Report:
    share, horizon = point.epoch / epochs, task.config["training"]["horizon"] or _HORIZON
    epoch = share * task.config["training"]["epochs"]
    return Report(
        trial_id=task.trial_id, attempt=task.attempt, timestamp=0.0, epoch=epoch,
        batches=max(1, round(share * horizon)), horizon=horizon,
        train_seconds=point.train_seconds, warmup_seconds=0.0,
        epoch_seconds=point.train_seconds / epoch, eval_seconds=0.0,
        wall_seconds=point.wall_seconds, cpu_seconds=0.0, train_loss=None, train_accuracy=None,
        val_loss=None, val_accuracy=point.val_accuracy, nfe_forward=0.0, nfe_backward=0.0,
        vjp_backward=0.0, solver_steps=0.0, rejected_steps=0.0, learning_rate=0.0,
        samples_per_second=None, peak_memory_bytes=None, device="simulated", node=node,
        concurrent_trials=1,
    )  # fmt: skip
