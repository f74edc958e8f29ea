"""Times a training step alone and beside others, for a search whose trials share devices.

As many processes as there will be trials at once, with the resources that each will have, train the
run's base configuration in turns: the first alone, the second alone, both at once, then more and
more. A slowdown compares a process with itself, since cores and GPUs differ (a virtual core whose
neighbour is busy in another machine takes half as long again). All of it is repeated, so that a
drift meets all numbers of trials alike, and the median is taken.
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
"""Of training in each turn; longer where a step is."""
REPETITIONS = 5
_PROBES = (0, 1)
"""The processes that are also timed alone."""
_LEAD_SECONDS = 0.2
"""Before the first turn: a process's first steps are slower than the rest."""
_MANY_EPOCHS = 10_000
_OF_A_MEDIAN = math.sqrt(math.pi / 2)
"""Its standard error over that of the mean, of a normal distribution."""

Array = npt.NDArray[np.float64]
Result = TypeVar("Result")


def clock_column(device: str, threads: int) -> str:
    """Return which seconds of a report line tell what a trial's work took (`analysis.contention`).

    Args:
        device: `cpu` or `cuda`.
        threads: CPU threads of each trial.
    """
    return "train_cpu_seconds" if device == "cpu" and threads == 1 else "train_seconds"


class WorkerGroup(Protocol):
    """A node, and as many processes on it as there will be trials at once, each like a trial's."""

    name: str
    """Of the node."""
    size: int
    """How many processes."""

    def run_all(self, work: Callable[[int, Callable[[], None]], Result]) -> list[Result]:
        """Run a function in all processes at once; return what they return, in their order.

        Args:
            work: called in each with its number from 0, and a function that returns when all
                have called it as often.
        """


class Window(NamedTuple):
    """What a process trained in its turn; the names of the seconds are those of report lines."""

    steps: int
    train_seconds: float
    train_cpu_seconds: float
    device: str


def calibrate(base: TrialConfig, workplace: WorkerSpec, room: WorkerGroup) -> dict[str, Contention]:
    """Return how trials slow each other down, by the name of their device.

    Args:
        base: the configuration whose step is timed.
        workplace: where, and with what, a trial works.
        room: for at least two processes.
    """
    turns = schedule_turns(room.size)
    found = room.run_all(partial(take_turns, base, workplace, turns * REPETITIONS))
    first = found[0][0]
    assert first is not None, "the first turn is the first process's"
    column = clock_column(workplace.device, workplace.threads)
    sharing = estimate_slowdown(found, turns, column, threads=workplace.threads, node=room.name)
    return {first.device: sharing}


def schedule_turns(most: int) -> list[range]:
    """Return the numbers of the processes that train in each turn of a repetition.

    Between the numbers of trials that are timed, the slowdown will be interpolated.

    >>> turns_of(12)
    [range(0, 1), range(1, 2), range(0, 2), range(0, 4), range(0, 8), range(0, 12)]
    """
    at_once = sorted({*(2**power for power in range(1, most.bit_length())), most})
    return [*(range(probe, probe + 1) for probe in _PROBES), *map(range, at_once)]


def estimate_slowdown(
    found: Sequence[Sequence[Window | None]],
    turns: Sequence[range],
    column: str,
    *,
    threads: int,
    node: str,
) -> Contention:
    """Return what follows from the windows of all processes.

    Args:
        found: of each process what its turns took, None where it was another's; at least two
            repetitions of all turns.
        turns: of one repetition, as by `turns_of`.
        column: the seconds that are compared.
        threads: CPU threads of each process.
        node: that they ran on.
    """
    probes = [_step_seconds(found[probe], column).reshape(-1, len(turns)) for probe in _PROBES]
    slowdown, error = slowdowns(probes)
    return Contention(
        column=column,
        concurrency=[1, *map(len, turns[len(_PROBES) :])],
        slowdown=[1.0, *slowdown],
        error=[0.0, *error],
        step_seconds=float(np.median(probes[0][:, 0])),
        repetitions=len(probes[0]),
        threads=threads,
        node=node,
    )


def _step_seconds(windows: Sequence[Window | None], column: str) -> Array:
    """Return the seconds of a step in each turn of a process; NaN where it was another's."""
    return np.array(
        [math.nan if one is None else getattr(one, column) / one.steps for one in windows]
    )


def slowdowns(probes: Sequence[Array]) -> tuple[list[float], list[float]]:
    """Return the slowdown in each company, and its standard error.

    Args:
        probes: of each process that was also timed alone: seconds of a step by repetition (at least
            two) and turn; first come the turns alone, in the order of the processes.
    """
    alone = len(probes)
    own = [steps[:, alone:] / steps[:, [probe]] for probe, steps in enumerate(probes)]
    ratios = np.mean(own, axis=0)
    error = _OF_A_MEDIAN * ratios.std(axis=0, ddof=1) / math.sqrt(len(ratios))
    return np.median(ratios, axis=0).tolist(), error.tolist()


def is_covered(known: Iterable[Contention], workplace: WorkerSpec, room: WorkerGroup) -> bool:
    """Return whether what was measured before holds for trials like these in a room."""
    return any(
        one.node == room.name
        and one.threads == workplace.threads
        and one.concurrency[-1] >= room.size
        for one in known
    )


# --- in the processes ---------------------------------------------------------------------------


def take_turns(
    base: TrialConfig,
    workplace: WorkerSpec,
    turns: Sequence[range],
    number: int,
    barrier: Callable[[], None],
) -> list[Window | None]:
    """Train whenever it is one's turn; return what each turn took, None where it was another's.

    Args:
        base: what is trained.
        workplace: where, and with what, a trial works.
        turns: the numbers of the processes that train, in each turn.
        number: of this process, from 0.
        meet: returns when all processes have called it as often.
    """
    with limit_memory(workplace.memory_bytes):
        stepper = Stepper(base, workplace)
        stepper.run(_LEAD_SECONDS)
        found = []
        for turn in turns:
            barrier()
            found.append(stepper.run(WINDOW_SECONDS) if number in turn else None)
        return found


class Stepper:
    """A training that goes on whenever it is told to; nothing of it is kept."""

    def __init__(self, base: TrialConfig, workplace: WorkerSpec) -> None:
        """Load the data and warm up, as a trial does."""
        import torch

        from tune_ode.data import trial_data
        from tune_ode.training.trial import Trial, TrialContext

        torch.set_num_threads(workplace.threads)
        # the schedule must not come to its end, where some have a learning rate of zero
        config = base.with_values({"training.epochs": _MANY_EPOCHS})
        device = torch.device(workplace.device)
        images = load_cached(config.data, workplace.data_dir)
        self._trial = Trial(config, trial_data(images, config, device), device, TrialContext())

    def run(self, seconds: float) -> Window:
        """Train for so long, at least one step.

        Raises:
            Diverged: the loss is not finite.
            SolveFailed: a solve met one of its bounds.
        """
        from tune_ode.training.train import never
        from tune_ode.training.trial import device_name

        trial, clock, steps = self._trial, self._trial.clock.train, 0

        def count(epoch: float) -> None:
            nonlocal steps
            steps += 1

        began, cpu_began = clock.seconds, clock.cpu_seconds
        while clock.seconds < began + seconds:
            trial.train_until(began + seconds, never, count)
            if trial.progress.batch == len(trial.data.train):
                trial.progress.end_epoch(clock.seconds)
        return Window(
            steps, clock.seconds - began, clock.cpu_seconds - cpu_began, device_name(trial.device)
        )
