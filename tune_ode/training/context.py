"""Attempt and environment of a trial, and the error that ends a trial that diverged."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from tune_ode.errors import TuneOdeError


def device_name(device: torch.device) -> str:
    """Return the name of a device in reports: `cpu` or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


class Diverged(TuneOdeError):
    """The loss is not finite or the ODE cannot be solved; the outcome is `diverged`."""


@dataclass(frozen=True)
class TrialContext:
    """Attempt and environment of a trial, for its reports."""

    trial_id: str = "0001"
    attempt: int = 1
    """Number of the attempt, from 1."""
    concurrent_trials: int | Callable[[], int] = 1
    """Trials on the node, including this one; a function is called at each report."""
    setup_seconds: float | None = None
    """Seconds that the process spent on the trial before the training."""
    now: Callable[[], float] = time.perf_counter
    """Monotonic clock in seconds."""
