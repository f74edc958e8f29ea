"""Measures how concurrent trials slow each other down, by timing training steps.

As many processes as there are concurrent trials, each with the resources of a trial, train the base
configuration of the run: first process 0 only, then process 1 only, then both, then more and more.
A slowdown compares a process with itself, because cores and GPUs differ: a virtual core is 1.5
times slower while another machine uses its sibling. Everything is repeated, so that drift affects
all numbers of processes equally, and the median is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from tune_ode.config import TrialConfig
from tune_ode.machine.memory import limit_memory
from tune_ode.records import Contention
from tune_ode.worker.spec import WorkerSpec
from tune_ode.worker.task import load_cached

WINDOW_SECONDS = 0.25
"""Training time of one turn; at least one step."""
REPETITIONS = 5
_ISOLATED = (0, 1)
"""Processes that are also timed in isolation."""
_WARMUP_SECONDS = 0.2
"""Training before the first turn: the first steps of a process are slower."""
_MANY_EPOCHS = 10_000
_MEDIAN_ERROR = math.sqrt(math.pi / 2)
"""Standard error of the median over that of the mean, for a normal distribution."""

Array = npt.NDArray[np.float64]
Result = TypeVar("Result")


def clock_column(device: str, threads: int) -> str:
    """Return the column of a report that measures a trial's work (see `analysis.contention`).

    Args:
        device: `cpu` or `cuda`.
        threads: CPU threads of each trial.
    """
    return "train_cpu_seconds" if device == "cpu" and threads == 1 else "train_seconds"


class WorkerGroup(Protocol):
    """Processes on one node, with the resources of trials."""

    name: str
    """Name of the node."""
    size: int
    """Number of processes."""

    def run_all(self, work: Callable[[int, Callable[[], None]], Result]) -> list[Result]:
        """Run a function in all processes at once; return the results in order.

        Args:
            work: called with the number of the process, from 0, and a function that waits at a
                barrier for all processes.
        """


class Window(NamedTuple):
    """What a process trained in one turn; seconds are named like the columns of a report."""

    steps: int
    train_seconds: float
    train_cpu_seconds: float
    device: str


def calibrate(base: TrialConfig, worker: WorkerSpec, group: WorkerGroup) -> dict[str, Contention]:
    """Return the contention of trials by device name.

    Args:
        base: the configuration to time.
        worker: resources of a trial.
        group: at least two processes.
    """
    turns = schedule_turns(group.size)
    windows = group.run_all(partial(take_turns, base, worker, turns * REPETITIONS))
    first = windows[0][0]
    assert first is not None, "process 0 trains in the first turn"
    column = clock_column(worker.device, worker.threads)
    contention = estimate_slowdown(windows, turns, column, threads=worker.threads, node=group.name)
    return {first.device: contention}


def schedule_turns(size: int) -> list[range]:
    """Return the numbers of the processes that train in each turn of a repetition.

    Slowdowns of other numbers of trials are interpolated.

    >>> schedule_turns(12)
    [range(0, 1), range(1, 2), range(0, 2), range(0, 4), range(0, 8), range(0, 12)]
    """
    concurrent = sorted({*(2**power for power in range(1, size.bit_length())), size})
    return [*(range(process, process + 1) for process in _ISOLATED), *map(range, concurrent)]


def estimate_slowdown(
    windows: Sequence[Sequence[Window | None]],
    turns: Sequence[range],
    column: str,
    *,
    threads: int,
    node: str,
) -> Contention:
    """Estimate slowdowns from the windows of all processes.

    Args:
        windows: for each process, one entry per turn, None if it did not train; at least two
            repetitions of all turns.
        turns: of one repetition, from `schedule_turns`.
        column: the seconds to compare.
        threads: CPU threads of each process.
        node: name of the node.
    """
    steps = [_step_seconds(windows[one], column).reshape(-1, len(turns)) for one in _ISOLATED]
    slowdown, error = slowdowns(steps)
    return Contention(
        column="train_cpu_seconds" if column == "train_cpu_seconds" else "train_seconds",
        concurrency=[1, *map(len, turns[len(_ISOLATED) :])],
        slowdown=[1.0, *slowdown],
        error=[0.0, *error],
        step_seconds=float(np.median(steps[0][:, 0])),
        repetitions=len(steps[0]),
        threads=threads,
        node=node,
    )


def _step_seconds(windows: Sequence[Window | None], column: str) -> Array:
    """Return the seconds per step of a process in each turn; NaN if it did not train."""
    return np.array(
        [math.nan if one is None else getattr(one, column) / one.steps for one in windows]
    )


def slowdowns(steps: Sequence[Array]) -> tuple[list[float], list[float]]:
    """Return the slowdown for each number of concurrent processes, and its standard error.

    Args:
        steps: for each process that was also timed in isolation, seconds per step of shape
            (repetitions, turns), with at least two repetitions; the isolated turns come first, in
            the order of the processes.
    """
    isolated = len(steps)
    own = [seconds[:, isolated:] / seconds[:, [turn]] for turn, seconds in enumerate(steps)]
    ratios = np.mean(own, axis=0)
    error = _MEDIAN_ERROR * ratios.std(axis=0, ddof=1) / math.sqrt(len(ratios))
    return np.median(ratios, axis=0).tolist(), error.tolist()


def is_covered(known: Iterable[Contention], worker: WorkerSpec, group: WorkerGroup) -> bool:
    """Return whether an earlier measurement holds for such trials on the node of a group."""
    return any(
        one.node == group.name
        and one.threads == worker.threads
        and one.concurrency[-1] >= group.size
        for one in known
    )


# --- in the processes ---------------------------------------------------------------------------


def take_turns(
    base: TrialConfig,
    worker: WorkerSpec,
    schedule: Sequence[range],
    number: int,
    barrier: Callable[[], None],
) -> list[Window | None]:
    """Train as scheduled; return a window per turn, None for the turns of other processes.

    Args:
        base: the configuration to train.
        worker: resources of a trial.
        schedule: numbers of the processes that train, for each turn.
        number: of this process, from 0.
        barrier: waits for all processes.
    """
    with limit_memory(worker.memory_bytes):
        stepper = Stepper(base, worker)
        stepper.run(_WARMUP_SECONDS)
        windows = []
        for turn in schedule:
            barrier()
            windows.append(stepper.run(WINDOW_SECONDS) if number in turn else None)
        return windows


class Stepper:
    """A training that runs for a given time and saves nothing."""

    def __init__(self, base: TrialConfig, worker: WorkerSpec) -> None:
        """Load the data and warm up, as a trial does."""
        import torch

        from tune_ode.data import trial_data
        from tune_ode.training.context import TrialContext
        from tune_ode.training.trial import Trial

        torch.set_num_threads(worker.threads)
        # the schedule must not end: some end with a learning rate of zero (this resets the horizon)
        config = base.with_values({"training.epochs": _MANY_EPOCHS})
        device = torch.device(worker.device)
        images = load_cached(config.data, worker.data_dir)
        self._trial = Trial(config, trial_data(images, config, device), device, TrialContext())

    def run(self, seconds: float) -> Window:
        """Train for some seconds, at least one step.

        Raises:
            Diverged: the loss is not finite.
            SolveFailed: a solve exceeded one of its bounds.
        """
        from tune_ode.training.context import device_name

        trial, clock, steps = self._trial, self._trial.clock.train, 0

        def count(epoch: float) -> None:
            nonlocal steps
            steps += 1

        began, cpu_began = clock.seconds, clock.cpu_seconds
        while clock.seconds < began + seconds:
            trial.train_until(began + seconds, lambda: False, count)
        return Window(
            steps, clock.seconds - began, clock.cpu_seconds - cpu_began, device_name(trial.device)
        )
