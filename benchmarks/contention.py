"""What sharing a machine costs a training, and how well it is put right: isolated seconds.

    python -m benchmarks.contention [--quick] [--repetitions 12] [--json FILE]

The same work alone, beside one and beside three others, one CPU thread each. First the price is
measured as a search does it, with the default configuration (`tune_ode.tuning.contention.calibration`). Then
several configurations train in turns, in as many new processes, and their seconds are put right
with that price. `isolated` is what a search estimates on a CPU: CPU seconds divided by their
slowdown. Each is also told as a multiple of what the same process needed alone, by the same
measure, in the same repetition; for comparison so are CPU seconds as they are, and the raw seconds
divided by their slowdown (these multiples end in ×). All figures are medians over repetitions and
two processes.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from analysis.contention import estimate_isolated
from benchmarks.results_file import results, write_results
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

MOST = 4
WINDOW_SECONDS = 0.5
STEPS = 100
"""Of the work that the seconds are told for."""
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "narrow euler": {"model.width": 16, "solver.method": "euler"},
    "wide midpoint": {"model.width": 128, "solver.method": "midpoint"},
    "adjoint dopri5": {"solver.method": "dopri5", "solver.gradient": "adjoint", "model.width": 32},
}
QUICK = ("default", "narrow euler")
WORKPLACE = WorkerSpec(data_dir=None, device="cpu", threads=1)

Array = npt.NDArray[np.float64]
Result = TypeVar("Result")


def in_processes(processes: int, work: Callable[[int, Callable[[], None]], Result]) -> list[Result]:
    """Run a function in so many fresh processes at once; see `calibration.Room`."""
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
    meet: Callable[[], None],
) -> list[list[Window | None]]:
    """Train every configuration in this process's turns; return a list for each configuration."""
    steppers = [Stepper(config, WORKPLACE) for config in configs]
    found: list[list[Window | None]] = [[] for _ in configs]
    for _ in range(repetitions):
        for stepper, windows in zip(steppers, found, strict=True):
            for turn in schedule_turns(MOST):
                meet()
                windows.append(stepper.run(WINDOW_SECONDS) if number in turn else None)
    return found


def rows_of(
    name: str, found: Sequence[Sequence[Window | None]], prices: dict[str, Contention]
) -> list[dict[str, Any]]:
    """Return the table of a configuration.

    Args:
        name: of the configuration.
        found: windows of each process.
        prices: by column of the report lines, as measured with the default configuration.
    """
    turns = schedule_turns(MOST)
    by_cpu, by_training = (prices[name] for name in ("train_cpu_seconds", "train_seconds"))

    def seconds(column: str, turn: int) -> Array:
        """Of a step, by process and repetition."""
        steps = [
            [math.nan if w is None else getattr(w, column) / w.steps for w in windows]
            for windows in found[:2]
        ]
        of_turns = np.array(steps).reshape(2, -1, len(turns))
        # one turn alone is the first process's, the other the second's
        return np.diagonal(of_turns, axis1=0, axis2=2).T if turn < 2 else of_turns[:, :, turn]

    rows = []
    for turn in (0, *range(2, len(turns))):
        at_once = len(turns[turn])
        raw, cpu = seconds("train_seconds", turn), seconds("train_cpu_seconds", turn)
        times_raw = np.median(raw / seconds("train_seconds", 0))
        times_cpu = np.median(cpu / seconds("train_cpu_seconds", 0))
        isolated, error = put_right(STEPS * float(np.median(cpu)), at_once, by_cpu)
        rows.append(
            {
                "configuration": name,
                "at once": at_once,
                "raw s": STEPS * float(np.median(raw)),
                "isolated s": isolated,
                "± s": error,
                "raw ×": float(times_raw),
                "isolated ×": put_right(float(times_cpu), at_once, by_cpu)[0],
                "CPU ×": float(times_cpu),
                "raw put right ×": put_right(float(times_raw), at_once, by_training)[0],
            }
        )
    return rows


def put_right(seconds: float, at_once: int, price: Contention) -> tuple[float, float]:
    """Return what seconds beside others would have been alone, and the standard error of that."""
    estimate, sensitivities = estimate_isolated(
        np.array([seconds]), np.array([float(at_once)]), price
    )
    return float(estimate[0]), float(np.linalg.norm(sensitivities[:, 0] * price.error))


def spread(rows: Sequence[dict[str, Any]], names: Sequence[str], column: str) -> float:
    """Return how many times the fewest a column's most is, in the configuration where it is worst.

    Args:
        rows: of the table.
        names: of the configurations.
        column: multiples of what was needed alone.
    """
    of_each = ([row[column] for row in rows if row["configuration"] == name] for name in names)
    return max(max(values) / min(values) for values in of_each)


def print_rows(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Print the table."""
    table = Table(box=None, pad_edge=False)
    names = [name for name in rows[0] if not isinstance(rows[0][name], list)]
    for name in names:
        table.add_column(name, justify="left" if name == "configuration" else "right")
    for row in rows:
        table.add_row(
            *(f"{row[n]:.3f}" if isinstance(row[n], float) else str(row[n]) for n in names)
        )
    console.print(table)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repetitions", type=int, default=12)
    parser.add_argument("--quick", action="store_true", help="two configurations, 4 repetitions")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    names = list(CONFIGURATIONS)
    if options.quick:
        options.repetitions, names = 4, list(QUICK)
    console = Console()
    configs = [TrialConfig().with_values(CONFIGURATIONS[name]) for name in names]
    turns = schedule_turns(MOST)
    with console.status("measuring the price of sharing …"):
        timed = in_processes(
            MOST, partial(take_turns, TrialConfig(), WORKPLACE, turns * REPETITIONS)
        )
    prices = {
        column: estimate_slowdown(
            timed, turns, column, threads=WORKPLACE.threads, node=os.uname().nodename
        )
        for column in ("train_cpu_seconds", "train_seconds")
    }
    for column, sharing in prices.items():
        told = zip(sharing.concurrency, sharing.slowdown, sharing.error, strict=True)
        text = ", ".join(f"{number}: {factor:.3f} ± {error:.3f}" for number, factor, error in told)
        console.print(f"slowdown of {column} by trials at once: {text}", highlight=False)
    with console.status("training beside others …"):
        found = in_processes(MOST, partial(train_all, configs, options.repetitions))
    rows: list[dict[str, Any]] = []
    for place, name in enumerate(names):
        rows += rows_of(name, [windows[place] for windows in found], prices)
    print_rows(rows, console)
    isolated, raw = (spread(rows, names, column) for column in ("isolated ×", "raw ×"))
    console.print(
        "seconds of the same work, most against fewest: "
        f"isolated {isolated - 1:.1%} more, raw {raw:.2f} times",
        highlight=False,
    )
    measured = results("sharing", options.repetitions, rows)
    measured["prices"] = {column: sharing.to_json() for column, sharing in prices.items()}
    console.print(f"{measured['hardware']}  {measured['versions']}", highlight=False, style="dim")
    write_results(options.json, measured)


if __name__ == "__main__":
    main()
