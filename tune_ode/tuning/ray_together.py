"""Runs a function in several of Ray's processes at once, each with the resources of a trial.

As Ray's tasks, and not as actors: the processes stay, with all that they have imported, and the
first trials get them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

import ray

from tune_ode.errors import TuneOdeError
from tune_ode.tuning.resources import Resources

_LIMIT_SECONDS = 300.0
_TURN_SECONDS = 0.2

Result = TypeVar("Result")
Work = Callable[[int, Callable[[], None]], Result]


class RayProcesses:
    """As many processes as are asked for, on a Ray that is started; see `calibration.Together`."""

    def __init__(self, resources: Resources) -> None:
        """Take what each process gets."""
        self._remote: Any = ray.remote(
            num_cpus=resources.cpus_per_trial, num_gpus=resources.gpus_per_trial, max_retries=0
        )

    def __call__(self, processes: int, work: Work[Result]) -> list[Result]:
        """Return what the processes return, in their order.

        Raises:
            TuneOdeError: they are not done after five minutes.
            Exception: what one of them raised.
        """
        meeting: Any = ray.remote(num_cpus=0)(_Meeting).remote(processes)
        task = self._remote(_run)
        told = [task.remote(work, number, meeting) for number in range(processes)]
        until = time.monotonic() + _LIMIT_SECONDS
        waiting = told
        try:
            while waiting:
                # one that failed is told at once; the others would wait for it for ever
                done, waiting = ray.wait(waiting, timeout=_TURN_SECONDS)
                ray.get(done)
                if time.monotonic() > until:
                    raise TuneOdeError(f"{processes} processes took over {_LIMIT_SECONDS:g} s")
            return ray.get(told)
        finally:
            for one in waiting:
                ray.cancel(one, force=True)
            ray.kill(meeting)


class _Meeting:
    def __init__(self, processes: int) -> None:
        self._barrier = asyncio.Barrier(processes)

    async def wait(self) -> None:
        await self._barrier.wait()


def _run(work: Work[Result], number: int, meeting: Any) -> Result:
    return work(number, lambda: ray.get(meeting.wait.remote()))
