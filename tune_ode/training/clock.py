"""Time as a trial's records count it: training apart from everything around it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from types import TracebackType

import torch


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all work queued so far; on a CPU there is none queued."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Stopwatch:
    """Seconds spent inside `with stopwatch:`, over all such blocks.

    Work on a GPU is queued: the device is waited for at both ends of a block, so that the block
    pays for its own work and for no other, and never in between.
    """

    def __init__(self, device: torch.device, now: Callable[[], float]) -> None:
        self.seconds = 0.0
        """Of the finished blocks; exact."""
        self.cpu_seconds = 0.0
        """CPU seconds, user and system, of all threads of this process in the finished blocks."""
        self._device = device
        self._now = now
        self._started: float | None = None
        self._cpu_started = 0.0

    def __enter__(self) -> None:
        assert self._started is None, "a stopwatch cannot be started twice"
        synchronize(self._device)
        self._started = self._now()
        self._cpu_started = time.process_time()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._started is not None
        try:
            if kind is None:  # after an error the device may not answer any more
                synchronize(self._device)
        finally:
            self.seconds += self._now() - self._started
            self.cpu_seconds += time.process_time() - self._cpu_started
            self._started = None

    def read(self) -> float:
        """Return the seconds so far, inside a block too: by the host's clock, without waiting."""
        running = 0.0 if self._started is None else self._now() - self._started
        return self.seconds + running


class TrialClock:
    """All times of one trial, in seconds; they go on from a checkpoint's when it is resumed.

    Args:
        device: the training device.
        now: a monotonic clock in seconds.
    """

    def __init__(self, device: torch.device, now: Callable[[], float] = time.perf_counter) -> None:
        self.train = Stopwatch(device, now)
        """Forward, backward, update and the making of batches; nothing else."""
        self.warmup = Stopwatch(device, now)
        self.evaluation = Stopwatch(device, now)
        self.checkpoints = Stopwatch(device, now)
        self._now = now
        self._wall = -now()
        self._cpu = -time.process_time()

    @property
    def wall(self) -> float:
        """Seconds since the trial began, everything counted: suspension by the caller, too."""
        return self._wall + self._now()

    @property
    def cpu(self) -> float:
        """CPU seconds, user and system, of all threads of this process since the trial began."""
        return self._cpu + time.process_time()

    def state_dict(self) -> dict[str, float]:
        """Return the seconds so far, by name."""
        return {
            "train": self.train.seconds,
            "train_cpu": self.train.cpu_seconds,
            "warmup": self.warmup.seconds,
            "evaluation": self.evaluation.seconds,
            "checkpoints": self.checkpoints.seconds,
            "wall": self.wall,
            "cpu": self.cpu,
        }

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Add the seconds of earlier attempts to those of this one."""
        self.train.seconds += state["train"]
        # an older checkpoint does not know these: not a number, and so null in the reports
        self.train.cpu_seconds += state.get("train_cpu", math.nan)
        self.warmup.seconds += state["warmup"]
        self.evaluation.seconds += state["evaluation"]
        self.checkpoints.seconds += state.get("checkpoints", math.nan)
        self._wall += state["wall"]
        self._cpu += state["cpu"]
