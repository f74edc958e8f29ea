"""What sharing a machine costs a training, and how well it is put right: isolated seconds.

    python -m benchmarks.sharing [--quick] [--repetitions 12] [--json FILE]

The same work alone, beside one and beside three others, one CPU thread each. First the price is
measured as a search does it, with the default configuration (`tune_ode.tuning.calibration`). Then
several configurations train in turns, in the same number of processes anew, and their seconds are
put right with that price. `isolated` is the estimate of a search on a CPU: CPU seconds divided by
their slowdown. Beside it, for comparison: seconds of training divided by theirs, and CPU seconds as
they are. All are shown as multiples of the seconds that the same process took alone: the median
over repetitions and processes.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.results_file import results, write_results
from tune_ode.config import TrialConfig
from tune_ode.records import Sharing
from tune_ode.tuning.calibration import (
    REPETITIONS,
    Stepper,
    Window,
    price,
    take_turns,
    turns_of,
)
from tune_ode.tuning.sharing import alone
from tune_ode.tuning.terms import Workplace

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
WORKPLACE = Workplace(data_dir=None, device="cpu", threads=1)

Result = TypeVar("Result")


def in_processes(processes: int, work: Callable[[int, Callable[[], None]], Result]) -> list[Result]:
    """Run a function in so many fresh processes at once; see `calibration.Together`."""
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
            for turn in turns_of(MOST):
                meet()
                windows.append(stepper.run(WINDOW_SECONDS) if number in turn else None)
    return found


def rows_of(
    name: str, found: Sequence[Sequence[Window | None]], prices: dict[str, Sharing]
) -> list[dict[str, Any]]:
    """Return the table of a configuration.

    Args:
        name: of the configuration.
        found: windows of each process.
        prices: by column of the report lines, as measured with the default configuration.
    """
    turns = turns_of(MOST)

    def seconds(process: int, column: str) -> np.ndarray[Any, Any]:
        steps = [np.nan if w is None else getattr(w, column) / w.steps for w in found[process]]
        return np.array(steps).reshape(-1, len(turns))

    raw = [seconds(process, "train_seconds") for process in (0, 1)]
    cpu = [seconds(process, "train_cpu_seconds") for process in (0, 1)]
    alone_seconds = [steps[:, process] for process, steps in enumerate(raw)]

    def share(of: Sequence[np.ndarray[Any, Any]], turn: int) -> np.ndarray[Any, Any]:
        """Of the seconds alone, by process and repetition."""
        return np.array([of[p][:, p if turn < 2 else turn] / alone_seconds[p] for p in (0, 1)])

    rows = []
    for turn in (0, *range(2, len(turns))):
        at_once = len(turns[turn])
        by_cpu = share(cpu, turn)
        isolated = {
            column: alone([1.0], [at_once], sharing)[0] for column, sharing in prices.items()
        }
        put_right = by_cpu * isolated["train_cpu_seconds"]
        ratio, error = alone([np.median(by_cpu)], [at_once], prices["train_cpu_seconds"])
        rows.append(
            {
                "configuration": name,
                "at once": at_once,
                f"raw seconds ({STEPS} steps)": STEPS
                * float(np.median([raw[p][:, p if turn < 2 else turn] for p in (0, 1)])),
                "raw": float(np.median(share(raw, turn))),
                "isolated": ratio,
                "its error": error,
                "isolated, quartiles": [float(q) for q in np.quantile(put_right, (0.25, 0.75))],
                "raw / slowdown": float(np.median(share(raw, turn))) * isolated["train_seconds"],
                "cpu": float(np.median(by_cpu)),
            }
        )
    return rows


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
    turns = turns_of(MOST)
    with console.status("measuring the price of sharing …"):
        timed = in_processes(
            MOST, partial(take_turns, TrialConfig(), WORKPLACE, turns * REPETITIONS)
        )
    prices = {
        column: price(timed, turns, column, WORKPLACE.threads)
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
    worst = max(abs(row["isolated"] - 1) for row in rows)
    console.print(
        f"isolated seconds agree within {worst:.1%}; raw seconds differ by up to "
        f"{max(row['raw'] for row in rows):.2f} times",
        highlight=False,
    )
    measured = results("sharing", options.repetitions, rows)
    measured["prices"] = {column: sharing.to_json() for column, sharing in prices.items()}
    console.print(f"{measured['hardware']}  {measured['versions']}", highlight=False, style="dim")
    write_results(options.json, measured)


if __name__ == "__main__":
    main()
