"""What the process of a trial runs with: data directory, device, threads, memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """Where a trial's process works, and what it has there."""

    data_dir: str | None
    device: str
    threads: int
    gpus: float = 0.0
    """A share of one."""
    memory_bytes: int | None = None
    """That its training may take from the machine; None: no limit."""
