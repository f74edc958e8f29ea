"""The terms of a search: when it ends, what each trial may use, and where trials work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When a search ends, and what each trial may use; None: no limit."""

    trials: int | None
    """Trials in all, over all resumes."""
    seconds: float | None
    """Wall-clock seconds of this start."""
    trial_seconds: float | None
    """`train_seconds` of each trial; None: only its epochs end it."""
    gpu_seconds: float | None = None
    """GPUs × wall-clock seconds, over all trials and resumes."""
    target_accuracy: float | None = None
    """Validation accuracy in [0, 1] that ends the search when a trial reaches it."""
    silence_seconds: float | None = None
    """A trial that says nothing for so long is stuck."""


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """Where a trial's process works, and what it has there."""

    data_dir: str | None
    device: str
    threads: int
    gpus: float = 0.0
    """A share of one."""
    memory_bytes: int | None = None
    """That its training may take from the machine; None: no limit."""
