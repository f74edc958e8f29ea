"""Runs a function in as many of Ray's processes at once as trials fit on a node."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

# first: it sets what Ray reads when it is imported
from tune_ode.tuning.ray_backend.cluster import nodes_by_id  # isort: skip

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_ode.errors import TuneOdeError
from tune_ode.machine.resources import Node, TrialResources

_LIMIT_SECONDS = 300.0
_LOOK_SECONDS = 0.2

Result = TypeVar("Result")
Work = Callable[[int, Callable[[], None]], Result]


def worker_groups(resources: TrialResources) -> list[RayWorkerGroup]:
    """Return a room for trials on each kind of node: where its kind has the most of it."""
    if not resources.cluster.is_remote:
        (machine,) = resources.cluster.nodes
        return [RayWorkerGroup(machine, None, resources)]
    best: dict[str | None, RayWorkerGroup] = {}
    for node_id, node in nodes_by_id().items():
        room = RayWorkerGroup(node, node_id, resources)
        kind = node.gpu if resources.gpus_per_trial else None
        if kind not in best or best[kind].size < room.size:
            best[kind] = room
    return list(best.values())


class RayWorkerGroup:
    """A node on a Ray that is started; see `calibration.Room`."""

    def __init__(self, node: Node, node_id: str | None, resources: TrialResources) -> None:
        """Take the node, Ray's id of it in a cluster, and what a trial gets."""
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
        """Return what the processes return, in their order.

        Raises:
            TuneOdeError: they are not done after five minutes.
            Exception: what one of them raised.
        """
        meeting: Any = ray.remote(num_cpus=0)(_Barrier).remote(self.size)
        task: Any = ray.remote(max_retries=0)(_run).options(**self._options)
        told = [task.remote(work, number, meeting) for number in range(self.size)]
        until = time.monotonic() + _LIMIT_SECONDS
        waiting = told
        try:
            while waiting:
                # one that failed is told at once; the others would wait for it for ever
                done, waiting = ray.wait(waiting, timeout=_LOOK_SECONDS)
                ray.get(done)
                if time.monotonic() > until:
                    raise TuneOdeError(
                        f"{self.size} processes at once on {self.name} took over "
                        f"{_LIMIT_SECONDS:g} s"
                    )
            return ray.get(told)
        finally:
            for one in waiting:
                ray.cancel(one, force=True)
            ray.kill(meeting)


class _Barrier:
    def __init__(self, processes: int) -> None:
        self._barrier = asyncio.Barrier(processes)

    async def wait(self) -> None:
        await self._barrier.wait()


def _run(work: Work[Result], number: int, meeting: Any) -> Result:
    return work(number, lambda: ray.get(meeting.wait.remote()))
