"""Resources of a trial's process: data directory, device, threads, memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """What the process of each trial runs with."""

    data_dir: str | None
    device: str
    """`cpu` or `cuda`."""
    threads: int
    gpus: float = 0.0
    """Share of a GPU, in [0, 1]."""
    memory_bytes: int | None = None
    """Limit for the memory that training adds to the process; None: no limit."""
