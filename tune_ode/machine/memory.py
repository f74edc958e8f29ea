"""Memory of a machine and its GPUs: how much there is, and limits for one trial.

Linux overcommits: without a limit, allocations of a model that is too large succeed, and the kernel
later kills some process, possibly the search.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from tune_ode.process.limits import memory_limit

CONTEXT_BYTES = 2**29
"""GPU memory of a process beyond its tensors: CUDA's context and kernels."""


def total_memory() -> int:
    """Return the memory that this machine or container may use, in bytes."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(physical, memory_limit() or physical)


def oom_kills() -> int:
    """Return how many processes the kernel has killed since its start to free memory."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


@contextlib.contextmanager
def limit_memory(additional: int | None) -> Iterator[None]:
    """Make allocations fail that exceed the memory in use by more than a limit.

    The limit applies to the process; a suspended generator keeps it until it ends.

    Args:
        additional: bytes; None: no limit.
    """
    if additional is None:
        yield
        return
    # limits private data; memory mapped from files, such as images, is shared and not counted
    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _private_data() + additional
    if before[1] != resource.RLIM_INFINITY:
        limit = min(limit, before[1])
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def cap_gpu_memory(gpus: float) -> None:
    """Make allocations of this process fail that exceed its share of GPU memory.

    Other processes on the GPU are unaffected. The share includes the CUDA context, which the
    allocator does not count.

    Args:
        gpus: share of one GPU; nothing is limited outside (0, 1).
    """
    if not 0 < gpus < 1:
        return
    import torch

    total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    # leave at least half of the share for tensors on small GPUs
    torch.cuda.set_per_process_memory_fraction(max(gpus - CONTEXT_BYTES / total, gpus / 2))


def _private_data() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("/proc/self/status has no VmData")
