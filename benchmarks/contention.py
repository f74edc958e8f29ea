"""Measure the slowdown of concurrent trainings and the accuracy of isolated seconds.

    python -m benchmarks.contention [--quick] [--repetitions 12] [--json FILE]

The same work runs in one, two and four processes at once, with one CPU thread each. First, the
slowdown is measured as in a search (`tune_ode.tuning.contention.calibration`). Then several
configurations train alternately in new processes, and their seconds are divided by that slowdown.
`isolated` is the estimate of a search on a CPU: CPU seconds divided by their slowdown. Columns
ending in × are multiples of the time that the same process needed in isolation, with the same
clock, in the same repetition; they include CPU seconds without a correction, and training seconds
divided by their slowdown. All figures are medians over repetitions and two processes.
"""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from rich.console import Console

from analysis.contention import estimate_isolated
from benchmarks.harness.results_file import finish, new_parser, print_rows
from tune_ode.config import TrialConfig
from tune_ode.records import Contention
from tune_ode.tuning.contention.calibration import (
    REPETITIONS,
    Stepper,
    Window,
    estimate_slowdown,
    schedule_turns,
    take_turns,
)
from tune_ode.worker.spec import WorkerSpec

PROCESSES = 4
WINDOW_SECONDS = 0.5
STEPS = 100
"""Training steps that the seconds in the table are for."""
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "narrow euler": {"model.width": 16, "solver.method": "euler"},
    "wide midpoint": {"model.width": 128, "solver.method": "midpoint"},
    "adjoint dopri5": {"solver.method": "dopri5", "solver.gradient": "adjoint", "model.width": 32},
}
QUICK = ("default", "narrow euler")
WORKER = WorkerSpec(data_dir=None, device="cpu", threads=1)

Array = npt.NDArray[np.float64]
Result = TypeVar("Result")


def run_in_processes(
    processes: int, work: Callable[[int, Callable[[], None]], Result]
) -> list[Result]:
    """Run a function in several new processes at once; see `calibration.WorkerGroup`."""
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(processes)
    with ProcessPoolExecutor(
        processes, mp_context=spawn, initializer=_start, initargs=(barrier,)
    ) as pool:
        return list(pool.map(partial(_call, work), range(processes)))


_barriers: list[Any] = []


def _start(barrier: Any) -> None:
    _barriers.append(barrier)


def _call(work: Callable[[int, Callable[[], None]], Result], number: int) -> Result:
    return work(number, _barriers[0].wait)


def train_all(
    configs: Sequence[TrialConfig],
    repetitions: int,
    number: int,
    barrier: Callable[[], None],
) -> list[list[Window | None]]:
    """Train every configuration in this process's turns; return a list for each configuration."""
    steppers = [Stepper(config, WORKER) for config in configs]
    found: list[list[Window | None]] = [[] for _ in configs]
    for _ in range(repetitions):
        for stepper, windows in zip(steppers, found, strict=True):
            for turn in schedule_turns(PROCESSES):
                barrier()
                windows.append(stepper.run(WINDOW_SECONDS) if number in turn else None)
    return found


def rows_of(
    name: str, found: Sequence[Sequence[Window | None]], slowdowns: dict[str, Contention]
) -> list[dict[str, Any]]:
    """Return the rows of a configuration.

    Args:
        name: of the configuration.
        found: windows of each process.
        slowdowns: measured with the default configuration, by clock column of the reports.
    """
    turns = schedule_turns(PROCESSES)
    by_cpu, by_training = (slowdowns[name] for name in ("train_cpu_seconds", "train_seconds"))

    def seconds(column: str, turn: int) -> Array:
        """Return the seconds per step by process and repetition."""
        steps = [
            [math.nan if w is None else getattr(w, column) / w.steps for w in windows]
            for windows in found[:2]
        ]
        of_turns = np.array(steps).reshape(2, -1, len(turns))
        # the first two turns are isolated: one of each process
        return np.diagonal(of_turns, axis1=0, axis2=2).T if turn < 2 else of_turns[:, :, turn]

    rows = []
    for turn in (0, *range(2, len(turns))):
        at_once = len(turns[turn])
        raw, cpu = seconds("train_seconds", turn), seconds("train_cpu_seconds", turn)
        times_raw = np.median(raw / seconds("train_seconds", 0))
        times_cpu = np.median(cpu / seconds("train_cpu_seconds", 0))
        isolated, error = correct(STEPS * float(np.median(cpu)), at_once, by_cpu)
        rows.append(
            {
                "configuration": name,
                "at once": at_once,
                "raw s": STEPS * float(np.median(raw)),
                "isolated s": isolated,
                "± s": error,
                "raw ×": float(times_raw),
                "isolated ×": correct(float(times_cpu), at_once, by_cpu)[0],
                "CPU ×": float(times_cpu),
                "raw corrected ×": correct(float(times_raw), at_once, by_training)[0],
            }
        )
    return rows


def correct(seconds: float, at_once: int, contention: Contention) -> tuple[float, float]:
    """Return the estimated isolated seconds and their standard error."""
    estimate, sensitivities = estimate_isolated(
        np.array([seconds]), np.array([float(at_once)]), contention
    )
    return float(estimate[0]), float(np.linalg.norm(sensitivities[:, 0] * contention.error))


def spread(rows: Sequence[dict[str, Any]], names: Sequence[str], column: str) -> float:
    """Return the largest ratio of a column's maximum to its minimum in any configuration.

    Args:
        rows: of the table.
        names: of the configurations.
        column: multiples of the isolated time.
    """
    of_each = ([row[column] for row in rows if row["configuration"] == name] for name in names)
    return max(max(values) / min(values) for values in of_each)


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__, quick="two configurations, 4 repetitions")
    parser.add_argument("--repetitions", type=int, default=12)
    options = parser.parse_args()
    names = list(CONFIGURATIONS)
    if options.quick:
        options.repetitions, names = 4, list(QUICK)
    console = Console()
    configs = [TrialConfig().with_values(CONFIGURATIONS[name]) for name in names]
    turns = schedule_turns(PROCESSES)
    with console.status("measuring contention …"):
        timed = run_in_processes(
            PROCESSES, partial(take_turns, TrialConfig(), WORKER, turns * REPETITIONS)
        )
    slowdowns = {
        column: estimate_slowdown(
            timed, turns, column, threads=WORKER.threads, node=os.uname().nodename
        )
        for column in ("train_cpu_seconds", "train_seconds")
    }
    for column, measured in slowdowns.items():
        values = zip(measured.concurrency, measured.slowdown, measured.error, strict=True)
        text = ", ".join(
            f"{number}: {factor:.3f} ± {error:.3f}" for number, factor, error in values
        )
        console.print(f"slowdown of {column} by concurrent trials: {text}", highlight=False)
    with console.status("training concurrently …"):
        found = run_in_processes(PROCESSES, partial(train_all, configs, options.repetitions))
    rows: list[dict[str, Any]] = []
    for index, name in enumerate(names):
        rows += rows_of(name, [windows[index] for windows in found], slowdowns)
    print_rows(rows, console)
    isolated, raw = (spread(rows, names, column) for column in ("isolated ×", "raw ×"))
    console.print(
        "largest against smallest seconds of the same work: "
        f"isolated {isolated - 1:.1%} more, raw {raw:.2f} times",
        highlight=False,
    )
    finish(
        console, options.json, "contention", options.repetitions, rows,
        slowdowns={column: measured.to_json() for column, measured in slowdowns.items()},
    )  # fmt: skip


if __name__ == "__main__":
    main()
