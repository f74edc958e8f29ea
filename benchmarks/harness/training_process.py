"""Run a training in a separate process, isolated in memory and settings from other trainings."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from rich.console import Console

from benchmarks.harness.trainings import Case, Training, build
from benchmarks.step_profile import print_profile
from tune_ode.config import TrialConfig
from tune_ode.process.limits import usable_cores

Result = TypeVar("Result")


class TrainingProcess:
    """A training in a separate process, controlled one epoch at a time.

    Args:
        case: solver and gradient.
        config: configuration of this package's training; None: the reference.
        data_dir: directory with MNIST/raw.
        device: a CPU or a GPU.
    """

    def __init__(
        self, case: Case, config: TrialConfig | None, data_dir: Path, device: torch.device
    ) -> None:
        # a single worker keeps its state between calls; unlike a Pool's, it can start processes,
        # such as the image workers of the reference
        spawn = multiprocessing.get_context("spawn")
        self._executor = ProcessPoolExecutor(1, mp_context=spawn)
        self._call(_start, case, config, data_dir, device)

    def epoch(self, batches: int | None = None) -> float:
        """Train an epoch, or its first `batches` batches, and return the seconds."""
        return self._call(_epoch, batches)

    def figures(self) -> dict[str, Any]:
        """Return evaluations per batch, accuracy, warm-up seconds and peak memory."""
        return self._call(_figures)

    def print_profile(self, title: str) -> None:
        """Print the time of each part of a step."""
        self._call(_profile, title)

    def close(self) -> None:
        """End the process."""
        self._executor.shutdown()

    def _call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return self._executor.submit(function, *arguments).result()


# --- in the process -----------------------------------------------------------------------------


@dataclass
class _State:
    training: Training
    device: torch.device
    resident: int
    """Bytes of memory before the training was built."""


_states: list[_State] = []


def _start(case: Case, config: TrialConfig | None, data_dir: Path, device: torch.device) -> None:
    torch.set_num_threads(usable_cores().count)
    # run a convolution first, to exclude the memory of libraries
    torch.nn.functional.conv2d(torch.ones(8, 8, 8, 8), torch.ones(8, 8, 3, 3))
    resident = _resident("VmRSS")
    _states.append(_State(build(case, config, data_dir, device, 0), device, resident))
    # reset the peak, since building evaluates a dummy batch
    Path("/proc/self/clear_refs").write_text("5")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _epoch(batches: int | None) -> float:
    (state,) = _states
    _wait(state.device)
    start = time.perf_counter()
    state.training.epoch(batches)
    _wait(state.device)
    return time.perf_counter() - start


def _figures() -> dict[str, Any]:
    (state,) = _states
    on_gpu = state.device.type == "cuda"
    forward, backward = state.training.evaluations()
    return {
        "nfe_forward": forward,
        "nfe_backward": backward,
        "peak_memory_bytes": torch.cuda.max_memory_allocated(state.device)
        if on_gpu
        else _resident("VmHWM") - state.resident,
        "warm_up_seconds": state.training.warm_up_seconds(),
        "accuracy": state.training.score(),
    }


def _profile(title: str) -> None:
    (state,) = _states
    print_profile(title, state.training, state.device, Console())


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _resident(what: str) -> int:
    """Return the current (VmRSS) or peak (VmHWM) memory of this process in bytes.

    `getrusage` would include the peak of the parent.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    value = next(line for line in lines if line.startswith(what))
    return int(value.split()[1]) * 1024
