"""Choose how many trials share a GPU by the memory of the largest: `--gpus-per-trial auto`."""

from __future__ import annotations

import math
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces import Choice, Fixed, Space, path_of
from tune_ode.config import TrialConfig
from tune_ode.config.trial import dotted_paths
from tune_ode.data import load
from tune_ode.machine.memory import CONTEXT_BYTES
from tune_ode.process.device_errors import find_memory_error
from tune_ode.process.signals import block_signals
from tune_ode.process.spawn import without_main_module

if TYPE_CHECKING:
    import torch

MEMORY_FIELDS = ("training.batch_size", "model.width")
"""Fields that memory grows with and that every space searches. Others, such as more steps under
backprop, may need more memory; a trial that exceeds its share ends as `out_of_memory`."""
_MARGIN = 1.2
"""Factor on memory, for fragmentation."""
MAX_TRIALS_PER_GPU = 8
"""More trials on one GPU wait for each other (see benchmarks.packing)."""
_BATCHES = 4


@dataclass(frozen=True)
class MemoryPeak:
    """Peak memory of a training on a GPU."""

    used: int
    """Bytes that the allocator reserved; `total` if the training ran out of memory."""
    total: int
    """Bytes of the GPU."""


def largest_config(space: Space, base: TrialConfig) -> TrialConfig:
    """Return the base configuration with the largest batch size and width of a space."""
    fields = dotted_paths(base.to_dict())
    largest = {path: fields[path] for path in MEMORY_FIELDS}
    for name, parameter, _ in space.walk():
        path = path_of(name)
        if path not in largest:
            continue
        if isinstance(parameter, Choice):
            values = [option for option in parameter.options if isinstance(option, int)]
        else:
            values = [parameter.value if isinstance(parameter, Fixed) else parameter.high]  # type: ignore[list-item]
        largest[path] = max(values)
    return base.with_values(largest)


def share_of_gpu(peak: MemoryPeak, max_trials: int) -> float:
    """Return the share of a GPU for each trial: 1/n for the largest n that fits.

    Args:
        peak: memory of the largest trial.
        max_trials: limit for n given by the CPU cores, at least 1.
    """
    fitting = int(peak.total // (_MARGIN * peak.used + CONTEXT_BYTES))
    trials = max(1, min(fitting, max_trials, MAX_TRIALS_PER_GPU))
    # Ray counts in 1/10,000; rounded up, the last trial would not fit
    return math.floor(10_000 / trials) / 10_000


def peak_memory(config: TrialConfig, data_dir: Path | None) -> MemoryPeak:
    """Train and evaluate briefly on this process's GPU; return the peak memory."""
    import torch

    device = torch.device("cuda")
    total = torch.cuda.get_device_properties(device).total_memory
    try:
        train_briefly(config, data_dir, device)
    except Exception as error:
        if find_memory_error(error) is None:
            raise
        return MemoryPeak(used=total, total=total)
    return MemoryPeak(used=torch.cuda.max_memory_reserved(device), total=total)


def train_briefly(config: TrialConfig, data_dir: Path | None, device: torch.device) -> int:
    """Train a few batches and evaluate once; return the number of batches."""
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
    """Return `peak_memory`, measured in a process that leaves nothing on the GPU."""
    spawn = multiprocessing.get_context("spawn")
    with without_main_module(), block_signals():
        pool = ProcessPoolExecutor(1, mp_context=spawn)
        peak = pool.submit(peak_memory, config, data_dir)
    with pool:
        return peak.result()
