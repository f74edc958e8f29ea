"""Runs a function in several Ray processes at once, as many as trials fit on a node."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

# first: it sets variables that Ray reads at import
from tune_ode.tuning.ray_backend.cluster import nodes_by_id  # isort: skip

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_ode.errors import TuneOdeError
from tune_ode.machine.resources import Node, TrialResources

_TIMEOUT_SECONDS = 300.0
_POLL_SECONDS = 0.2

Result = TypeVar("Result")
Work = Callable[[int, Callable[[], None]], Result]


def worker_groups(resources: TrialResources) -> list[RayWorkerGroup]:
    """Return one worker group per GPU model, on the node where most trials fit."""
    if not resources.cluster.is_remote:
        (machine,) = resources.cluster.nodes
        return [RayWorkerGroup(machine, None, resources)]
    largest: dict[str | None, RayWorkerGroup] = {}
    for node_id, node in nodes_by_id().items():
        group = RayWorkerGroup(node, node_id, resources)
        gpu = node.gpu if resources.gpus_per_trial else None
        if gpu not in largest or largest[gpu].size < group.size:
            largest[gpu] = group
    return list(largest.values())


class RayWorkerGroup:
    """Processes on one node, with the resources of trials; see `calibration.WorkerGroup`."""

    def __init__(self, node: Node, node_id: str | None, resources: TrialResources) -> None:
        """Plan the group; processes start in `run_all`.

        Args:
            node: where to run.
            node_id: Ray's id of the node, or None on a single machine.
            resources: resources per trial.
        """
        self.name = node.name
        fits = node.fits(resources.cpus_per_trial, resources.gpus_per_trial)
        self.size = (
            fits if resources.concurrency_limit is None else min(fits, resources.concurrency_limit)
        )
        self._options: dict[str, Any] = {
            "num_cpus": resources.cpus_per_trial,
            "num_gpus": resources.gpus_per_trial,
        }
        if node_id is not None:
            affinity = NodeAffinitySchedulingStrategy(node_id, soft=False)
            self._options["scheduling_strategy"] = affinity

    def run_all(self, work: Work[Result]) -> list[Result]:
        """Return the results of all processes, in order.

        Args:
            work: called with the process's number and a function that waits at a barrier for all.

        Raises:
            TuneOdeError: they take longer than five minutes.
            Exception: the error of a process.
        """
        barrier: Any = ray.remote(num_cpus=0)(_Barrier).remote(self.size)
        task: Any = ray.remote(max_retries=0)(_run).options(**self._options)
        tasks = [task.remote(work, number, barrier) for number in range(self.size)]
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        pending = tasks
        try:
            while pending:
                # raises at the first failure: the others would wait for it forever
                done, pending = ray.wait(pending, timeout=_POLL_SECONDS)
                ray.get(done)
                if time.monotonic() > deadline:
                    raise TuneOdeError(
                        f"{self.size} concurrent processes on {self.name} took longer than "
                        f"{_TIMEOUT_SECONDS:g} s"
                    )
            return ray.get(tasks)
        finally:
            for ref in pending:
                ray.cancel(ref, force=True)
            ray.kill(barrier)


class _Barrier:
    def __init__(self, processes: int) -> None:
        self._barrier = asyncio.Barrier(processes)

    async def wait(self) -> None:
        await self._barrier.wait()


def _run(work: Work[Result], number: int, barrier: Any) -> Result:
    return work(number, lambda: ray.get(barrier.wait.remote()))
