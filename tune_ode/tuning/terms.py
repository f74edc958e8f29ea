"""The terms of a search: when it ends, what each trial may use, and where trials work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When a search ends, and what each trial may use."""

    trials: int | None
    """Trials in all, over all resumes; None: no limit."""
    seconds: float | None
    """Wall-clock seconds of this start; None: no limit."""
    trial_seconds: float | None
    """`train_seconds` of each trial; None: only its epochs end it."""


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """Where a trial's process works."""

    data_dir: str | None
    device: str
    threads: int
