"""The memory of the machine and of its GPUs: how much there is, and a limit for one trial.

Without a limit a model too large for a CPU's memory is not refused any: Linux promises it, and
kills some process when the promise is called in, perhaps the search.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

_CONTROL_GROUP = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Of a container, by version 2 and 1 of the interface."""

CONTEXT_BYTES = 2**29
"""Of a process on a GPU, beyond what its tensors take: CUDA's context and kernels."""


def total_memory() -> int:
    """Return the bytes of memory that this machine, or this container, may use."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for file in _CONTROL_GROUP:
        with contextlib.suppress(OSError, ValueError):  # "max": no limit
            return min(physical, int(file.read_text()))
    return physical


@contextlib.contextmanager
def limit_memory(more: int | None) -> Iterator[None]:
    """Refuse this process more memory than it has and so many bytes; allocations then fail.

    A suspended generator keeps the limit, which is the process's, until it ends.

    Args:
        more: bytes; None: no limit.
    """
    if more is None:
        yield
        return
    # of private data: what is mapped from files, as the images are, is shared and not counted
    before = resource.getrlimit(resource.RLIMIT_DATA)
    most = _private_data() + more
    if before[1] != resource.RLIM_INFINITY:
        most = min(most, before[1])
    resource.setrlimit(resource.RLIMIT_DATA, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def cap_gpu_memory(gpus: float) -> None:
    """Refuse this process more of its GPU's memory than its share; allocations then fail.

    What neighbours hold is left alone: the one that asks for too much is the one that fails. The
    share includes CUDA's own memory of a process, which the allocator does not see.

    Args:
        gpus: share of one GPU, in (0, 1); otherwise nothing is held back.
    """
    if not 0 < gpus < 1:
        return
    import torch

    total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    # at least half of it is for tensors, on the smallest of GPUs too
    torch.cuda.set_per_process_memory_fraction(max(gpus - CONTEXT_BYTES / total, gpus / 2))


def _private_data() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("Linux tells VmData of every process")
