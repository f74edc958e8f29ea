"""What a machine has, what each trial gets of it, and how many trials run at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tune_ode.errors import QuestionError
from tune_ode.tuning.memory import memory_of_machine

_MEMORY_SHARE = 0.8
"""Of the machine's memory, for all trials together: Ray, the search and the system need the rest,
and Ray ends processes when less than a twentieth is free."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """CPUs and GPUs of the machine and of one trial."""

    cpus: int
    gpus: int
    cpus_per_trial: int
    gpus_per_trial: float
    max_concurrent: int
    """Trials at once."""
    memory_per_trial: int | None = None
    """Bytes of the machine's memory; None on a GPU, whose memory is what matters."""

    @property
    def device(self) -> str:
        """Where trials train: `cuda` or `cpu`."""
        return "cuda" if self.gpus_per_trial > 0 else "cpu"

    @property
    def inventory(self) -> str:
        """What the machine has, in words."""
        return _inventory(self.cpus, self.gpus)

    @property
    def share(self) -> str:
        """What each trial gets, in words."""
        cores = count(self.cpus_per_trial, "CPU core")
        gpu = f" and {self.gpus_per_trial:g} of a GPU" if self.gpus_per_trial > 0 else ""
        return f"{cores}{gpu} each"


def plan_resources(
    *,
    cpus_per_trial: int | None = None,
    gpus_per_trial: float | None = None,
    max_concurrent: int | None = None,
    cpus: int | None = None,
    gpus: int | None = None,
) -> Resources:
    """Fill in what was not asked for, and refuse what this machine cannot give.

    Args:
        cpus_per_trial: CPU cores of one trial; None: 1.
        gpus_per_trial: GPUs of one trial, a fraction to share one; None: 1 if there is one.
        max_concurrent: trials at once; None: as many as fit.
        cpus: CPU cores of the machine; None: those this process may use.
        gpus: GPUs of the machine; None: those torch sees.

    Raises:
        QuestionError: what is asked for is not there; says what is.
    """
    cpus = len(os.sched_getaffinity(0)) if cpus is None else cpus
    gpus = _gpus() if gpus is None else gpus
    cpus_per_trial = 1 if cpus_per_trial is None else cpus_per_trial
    gpus_per_trial = float(gpus > 0) if gpus_per_trial is None else gpus_per_trial
    has = f"this machine has {_inventory(cpus, gpus)}"
    if not 1 <= cpus_per_trial <= cpus:
        raise QuestionError(f"--cpus-per-trial must be 1 to {cpus}, found {cpus_per_trial}: {has}")
    if gpus_per_trial > 1:
        raise QuestionError(
            f"--gpus-per-trial must be at most 1, found {gpus_per_trial:g}: these models are "
            "small, and several GPUs are used by training several trials at once"
        )
    if gpus_per_trial < 0:
        raise QuestionError(f"--gpus-per-trial must be 0 to 1, found {gpus_per_trial:g}")
    if gpus_per_trial > 0 and not gpus:
        raise QuestionError(
            f"--gpus-per-trial {gpus_per_trial:g} needs a GPU, but {has}; leave the option out to "
            "train on CPU cores"
        )
    fitting = cpus // cpus_per_trial
    if gpus_per_trial > 0:
        # a trial's share lies on one GPU: 0.4 fits twice on each, not 2.5 times
        fitting = min(fitting, gpus * int(1 / gpus_per_trial + 1e-9))
    if max_concurrent is not None and not 1 <= max_concurrent <= fitting:
        raise QuestionError(
            f"--max-concurrent must be 1 to {fitting}, found {max_concurrent}: {has}, and a trial "
            f"takes {count(cpus_per_trial, 'core')} and {gpus_per_trial:g} of a GPU"
        )
    at_once = max_concurrent or fitting
    return Resources(
        cpus=cpus,
        gpus=gpus,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        max_concurrent=at_once,
        memory_per_trial=None
        if gpus_per_trial
        else int(_MEMORY_SHARE * memory_of_machine()) // at_once,
    )


def _inventory(cpus: int, gpus: int) -> str:
    return f"{count(cpus, 'CPU core')} and {count(gpus, 'GPU')}"


def count(number: int, thing: str) -> str:
    """Say so many things, "no" for none.

    >>> count(1, "GPU"), count(0, "GPU")
    ('1 GPU', 'no GPUs')
    """
    return f"{number or 'no'} {thing}{'s' * (number != 1)}"


def _gpus() -> int:
    # importing torch takes seconds; a machine without a driver's device files has no GPU to count
    drivers = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
    if not any(Path(driver).exists() for driver in drivers):
        return 0
    import torch

    return torch.cuda.device_count()
