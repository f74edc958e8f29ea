"""Runs a `Search` on a simulated clock: recorded trials answer for its trials, in no time at all.

The search, its proposals, rungs and run folder are those of a real one; only what trains, and what
the clock shows, is replaced.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tune_ode.records import Outcome, Report
from tune_ode.simulation.recordings import Nearest, Point, Recordings
from tune_ode.tuning.search.search import Search
from tune_ode.worker.task import Task, TrialEnd, TrialEvent

RESTART_OVERHEAD = 0.05
"""From a trial's end to the next one's start on its worker (benchmarks.overhead)."""
WORKERS_PER_NODE = 8


@dataclass
class SimulatedClock:
    """What the search takes for Unix time; it begins at 0."""

    now: float = 0.0

    def __call__(self) -> float:
        """Return the seconds since the simulation began."""
        return self.now


@dataclass(frozen=True)
class Observation:
    """An accuracy, and when the search learned of it."""

    at: float
    """On the simulated clock."""
    trial_id: str
    train_seconds: float
    val_accuracy: float


RunSimulatedTrial = Callable[[Task, Mapping[str, Any], str], Iterator[tuple[float, TrialEvent]]]
"""(task, its point, node) → messages in order, each with the seconds since the trial's start."""


def run_simulated(
    search: Search,
    clock: SimulatedClock,
    *,
    workers: int,
    answer: RunSimulatedTrial,
    turnover: float = RESTART_OVERHEAD,
) -> list[Observation]:
    """Run a search to its end; return what it learned, in order.

    Args:
        search: made with the same clock.
        clock: is moved on.
        workers: trials at once.
        answer: what the trials say, and when.
        turnover: seconds between two trials of a worker.
    """
    learned: list[Observation] = []
    # (when, worker): each thing that is to happen, a worker having one at a time
    events: list[tuple[float, int]] = [(0.0, worker) for worker in range(workers)]
    trials: dict[int, tuple[float, Task, Iterator[tuple[float, TrialEvent]]]] = {}
    coming: dict[int, TrialEvent] = {}

    def await_next(worker: int) -> None:
        started, _, messages = trials[worker]
        after, coming[worker] = next(messages)
        heapq.heappush(events, (started + after, worker))

    end = math.inf if search.budget.seconds is None else search.started + search.budget.seconds
    while events:
        at, worker = heapq.heappop(events)
        clock.now = min(at, end)
        if search.should_stop():
            break
        if worker not in trials:
            task = search.next_task()
            if task is None:
                continue
            search.on_start(task.trial_id)
            params = search.running[task.trial_id].spec.params
            node = f"node{worker // WORKERS_PER_NODE}"
            trials[worker] = clock.now, task, answer(task, params, node)
            await_next(worker)
            continue
        message = coming.pop(worker)
        if isinstance(message, Report):
            if message.val_accuracy is not None:
                learned.append(
                    Observation(at, message.trial_id, message.train_seconds, message.val_accuracy)
                )
            goes_on = search.on_report(message)
        else:
            search.on_end(trials[worker][1].trial_id, message)
            goes_on = False
        if goes_on:
            await_next(worker)
        else:
            del trials[worker]
            heapq.heappush(events, (at + turnover, worker))
    return learned


def replay(recordings: Recordings) -> RunSimulatedTrial:
    """Return answers that follow the curve of the recorded trial nearest to each task's point.

    Epochs are stretched to the task's own number. A curve that was cut off stays where it was until
    its budget or its last epoch, which is all that is known of it.
    """
    nearest = Nearest(recordings.space, recordings.trials)

    def answer(
        task: Task, params: Mapping[str, Any], node: str
    ) -> Iterator[tuple[float, TrialEvent]]:
        recorded = recordings.trials[nearest.index(params)]
        stretch = task.config["training"]["epochs"] / recorded.epochs
        seconds = 0.0
        for point in recorded.to_the_end(task.budget_seconds):
            seconds = point.wall_seconds
            yield seconds, _line(task, point, point.epoch * stretch, node)
        cut_off = recorded.outcome is Outcome.STOPPED
        yield seconds, TrialEnd(outcome=Outcome.COMPLETED if cut_off else recorded.outcome)

    return answer


def _line(task: Task, point: Point, epoch: float, node: str) -> Report:
    return Report(
        trial_id=task.trial_id, attempt=task.attempt, timestamp=0.0, epoch=epoch,
        train_seconds=point.train_seconds, warmup_seconds=0.0,
        epoch_seconds=point.train_seconds / epoch, eval_seconds=0.0,
        wall_seconds=point.wall_seconds, cpu_seconds=0.0, train_loss=None, train_accuracy=None,
        val_loss=None, val_accuracy=point.val_accuracy, nfe_forward=0.0, nfe_backward=0.0,
        vjp_backward=0.0, solver_steps=0.0, rejected_steps=0.0, learning_rate=0.0,
        samples_per_second=None, peak_memory_bytes=None, device="simulated", node=node,
        concurrent_trials=1,
    )  # fmt: skip
