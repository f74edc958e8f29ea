"""The terms of a search: when it ends, what each trial may use, and where trials work."""

from __future__ import annotations

from dataclasses import dataclass

MAX_CRASHES = 3
"""So often is a trial taken up again after its process, or the driver, died under it."""
REPORT_TIMEOUT_SECONDS = 600.0
"""Beyond twice a trial's budget: a compilation, a validation, a machine that is shared."""


@dataclass(frozen=True, kw_only=True)
class Budget:
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
    report_timeout: float | None = None
    """A trial that says nothing for so long is stuck."""
