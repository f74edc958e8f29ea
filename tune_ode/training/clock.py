"""Clocks of a trial: training time, separate from everything else."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import torch


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished all queued work; a CPU queues none."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def waiting_seconds(tasks: Path = Path("/proc/self/task")) -> float:
    """Return the seconds in which the threads of this process could run but had no core.

    Args:
        tasks: directory of its threads; see `sched_getschedstat` in the kernel's documentation.

    Returns:
        The sum over the threads; NaN where the kernel does not count them.
    """
    total = math.nan
    for file in tasks.glob("*/schedstat"):
        with contextlib.suppress(OSError):  # a thread that has ended
            waited = int(file.read_text().split()[1]) / 1e9
            total = waited if math.isnan(total) else total + waited
    return total


class Stopwatch:
    """Total seconds spent inside `with stopwatch:` blocks.

    A GPU is synchronized at both ends of a block, so that the block counts its own work only, and
    never in between.

    Args:
        device: device to synchronize.
        now: monotonic clock in seconds.
        count_waiting: also count `waiting_seconds`, which reads a file per thread.
    """

    def __init__(
        self, device: torch.device, now: Callable[[], float], *, count_waiting: bool = False
    ) -> None:
        self.seconds = 0.0
        """Seconds of the finished blocks; exact."""
        self.cpu_seconds = 0.0
        """CPU seconds (user and system, all threads of this process) of the finished blocks."""
        self.waiting_seconds = 0.0
        """`waiting_seconds()` of the finished blocks; 0 if it is not counted."""
        self._device = device
        self._now = now
        self._count_waiting = count_waiting
        self._started: float | None = None
        self._cpu_started = self._waiting_started = 0.0

    def __enter__(self) -> None:
        assert self._started is None, "a stopwatch cannot be started twice"
        synchronize(self._device)
        if self._count_waiting:  # before the block, which does not take that time
            self._waiting_started = waiting_seconds()
        self._started = self._now()
        self._cpu_started = time.process_time()

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._started is not None
        try:
            if error_type is None:  # after an error the device may not respond
                synchronize(self._device)
        finally:
            self.seconds += self._now() - self._started
            self.cpu_seconds += time.process_time() - self._cpu_started
            if self._count_waiting:
                # not negative: the waiting of a thread that has ended is lost
                self.waiting_seconds += max(waiting_seconds() - self._waiting_started, 0.0)
            self._started = None

    def read(self) -> float:
        """Return the seconds so far by the host clock, including a running block; no waiting."""
        running = 0.0 if self._started is None else self._now() - self._started
        return self.seconds + running


class TrialClock:
    """All times of one trial in seconds; a resumed trial continues those of its checkpoint.

    Args:
        device: training device.
        now: monotonic clock in seconds.
    """

    def __init__(self, device: torch.device, now: Callable[[], float] = time.perf_counter) -> None:
        self.train = Stopwatch(device, now, count_waiting=True)
        """Batches, forward, backward and optimizer steps; nothing else."""
        self.warmup = Stopwatch(device, now)
        self.evaluation = Stopwatch(device, now)
        self.checkpoints = Stopwatch(device, now)
        self._now = now
        self._wall = -now()
        self._cpu = -time.process_time()

    @property
    def wall(self) -> float:
        """Seconds since the trial began, including suspension by the caller."""
        return self._wall + self._now()

    @property
    def cpu(self) -> float:
        """CPU seconds (user and system, all threads of this process) since the trial began."""
        return self._cpu + time.process_time()

    def state_dict(self) -> dict[str, float]:
        """Return the seconds so far, by name."""
        return {
            "train": self.train.seconds,
            "train_cpu": self.train.cpu_seconds,
            "train_waiting": self.train.waiting_seconds,
            "warmup": self.warmup.seconds,
            "evaluation": self.evaluation.seconds,
            "checkpoints": self.checkpoints.seconds,
            "wall": self.wall,
            "cpu": self.cpu,
        }

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Add the seconds of earlier attempts."""
        self.train.seconds += state["train"]
        self.train.cpu_seconds += state["train_cpu"]
        self.train.waiting_seconds += state.get("train_waiting", 0.0)
        self.warmup.seconds += state["warmup"]
        self.evaluation.seconds += state["evaluation"]
        self.checkpoints.seconds += state["checkpoints"]
        self._wall += state["wall"]
        self._cpu += state["cpu"]
