"""What a trial's process runs with: data, device, threads, memory."""

from __future__ import annotations

from dataclasses import dataclass

from tune_ode.data import Fingerprint

UMASK_VARIABLE = "TUNE_ODE_UMASK"
"""Environment variable of a process on the machine of the search: the umask of the search, for the
files of the run; that of Ray's processes keeps their files private."""


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
    fingerprint: Fingerprint | None = None
    """Of the run's images; a trial with other images is interrupted. None: not checked."""
