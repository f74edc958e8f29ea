"""How many trials share one GPU: `--gpus-per-trial auto`, by the memory that a large one takes."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces import Choice, Fixed, Space, path_of
from tune_ode.config import TrialConfig
from tune_ode.config.trial import dotted_paths
from tune_ode.data import load
from tune_ode.machine.memory import CONTEXT_BYTES

if TYPE_CHECKING:
    import torch

MEMORY_FIELDS = ("training.batch_size", "model.width")
"""Settings that a trial's memory grows with, and that every space searches; others, such as more
steps under backprop, may take more, and a trial that meets its share ends `out_of_memory`."""
_MARGIN = 1.2
"""Of memory, for what is fragmented."""
MAX_TRIALS_PER_GPU = 8
"""On one GPU: more of them wait for one another (see benchmarks.packing)."""
_BATCHES = 4


@dataclass(frozen=True)
class MemoryPeak:
    """Memory of a training on a GPU."""

    used: int
    """Bytes at most that its process held for tensors; more than `total` where it did not fit."""
    total: int
    """Bytes of the GPU."""


Measure = Callable[[TrialConfig, Path | None], MemoryPeak]


def largest_config(space: Space, base: TrialConfig) -> TrialConfig:
    """Return the base configuration at the largest batch and width of a space."""
    settings = dotted_paths(base.to_dict())
    most = {path: settings[path] for path in MEMORY_FIELDS}
    for name, parameter, _ in space.walk():
        path = path_of(name)
        if path not in most:
            continue
        if isinstance(parameter, Choice):
            values = [option for option in parameter.options if isinstance(option, int)]
        else:
            values = [parameter.value if isinstance(parameter, Fixed) else parameter.high]  # type: ignore[list-item]
        most[path] = max(values)
    return base.with_values(most)


def share_of_gpu(peak: MemoryPeak, most: int) -> float:
    """Return the share of a GPU that each trial gets, 1/n for the largest n that fits.

    Args:
        peak: of the largest trial.
        most: trials on one GPU whatever its memory, at least 1: there are so many CPU cores.
    """
    fitting = int(peak.total // (_MARGIN * peak.used + CONTEXT_BYTES))
    trials = max(1, min(fitting, most, MAX_TRIALS_PER_GPU))
    # Ray counts in ten-thousandths; rounded up, one would not fit
    return math.floor(10_000 / trials) / 10_000


def peak_memory(config: TrialConfig, data_dir: Path | None) -> MemoryPeak:
    """Train and evaluate a little on this process's GPU; return what it took.

    Args:
        config: of the training.
        data_dir: where its data lie.
    """
    import torch

    device = torch.device("cuda")
    total = torch.cuda.get_device_properties(device).total_memory
    try:
        train_a_little(config, data_dir, device)
    except torch.OutOfMemoryError:
        return MemoryPeak(used=total, total=total)
    return MemoryPeak(used=torch.cuda.max_memory_reserved(device), total=total)


def train_a_little(config: TrialConfig, data_dir: Path | None, device: torch.device) -> int:
    """Train some batches and evaluate once; return how many batches."""
    from tune_ode.data import trial_data
    from tune_ode.training import TrialContext
    from tune_ode.training.trial import Trial

    batches = 0

    def count(epoch: float) -> None:
        nonlocal batches
        batches += 1

    trial = Trial(config, trial_data(load(config.data, data_dir), config, device), device,
                  TrialContext())  # fmt: skip
    trial.train_until(math.inf, lambda: batches >= _BATCHES, count)
    trial.report()
    return batches


def measure_in_subprocess(config: TrialConfig, data_dir: Path | None) -> MemoryPeak:
    """Return the `peak_memory` of a process of its own, which leaves nothing on the GPU."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(peak_memory, config, data_dir).result()
