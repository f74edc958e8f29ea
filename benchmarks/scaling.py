"""What the driver of a search spends on many workers: CPU seconds a report, a trial, a second.

    python -m benchmarks.scaling [--quick] [--workers 2 8 16 32] [--json FILE]

Real Ray, with more workers declared than there are cores: their trials sleep between reports, so
that many of them run at once here. Short trials and long ones make reports and trials come in
different proportions, and a least-squares fit tells apart what each costs the driver; the sampler
is `random`, since what a proposal of `tpe` costs is measured by `benchmarks.overhead`. Of Ray's own
processes nothing is counted.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.overhead import instant, new_folder, open_search
from benchmarks.results_file import results, write_results
from tune_ode.machine.resources import local_machine, plan_resources
from tune_ode.records import Report
from tune_ode.tuning.search.search import Search
from tune_ode.worker.task import Task, TrialEnd, TrialEvent

WORKERS = (2, 8, 16, 32)
REPORTS = (5, 25)
"""Of a short trial, and of a long one."""
PAUSE_SECONDS = 0.5
"""Between two reports of a trial."""
TRIALS_PER_WORKER = 6
QUICK_TRIALS_PER_WORKER = 3
_UP = "worker-"


@dataclass(frozen=True)
class Sleeper:
    """A trial that reports so often, with a pause before each report."""

    reports: int
    workers: int

    def __call__(self, task: Task) -> Iterator[TrialEvent]:
        """Wait until all workers have started, if the trial is one of the first; then report."""
        folder = Path(task.run_folder)
        (folder / f"{_UP}{os.getpid()}").touch()
        if int(task.trial_id) <= self.workers:
            while not _all_up(folder, self.workers):
                time.sleep(0.2)
        line = next(message for message in instant(task) if isinstance(message, Report))
        for epoch in range(1, self.reports + 1):
            time.sleep(PAUSE_SECONDS)
            yield _at(line, epoch)
        yield next(message for message in instant(task) if isinstance(message, TrialEnd))


def _at(line: Report, epoch: int) -> Report:
    # seconds far from a rung: no trial is stopped
    return replace(line, epoch=float(epoch), train_seconds=1e-3 * epoch)


def _all_up(folder: Path, workers: int) -> bool:
    return len(list(folder.glob(f"{_UP}*"))) >= workers


def measure(workers: int, reports: int, trials: int) -> dict[str, Any]:
    """Run one search; return the rates of reports and trials, and the driver's CPU seconds."""
    from tune_ode.tuning.ray_backend.engine import run_on_ray

    ticks: list[tuple[float, float, int, int]] = []
    with tempfile.TemporaryDirectory(prefix="tune-ode-scaling-") as scratch:
        folder = new_folder(Path(scratch) / "run")
        search = open_search(folder, "random", trials)

        def tick() -> None:
            if ticks or _all_up(folder.path, workers):
                ticks.append((time.perf_counter(), time.process_time(), *_done(search, reports)))

        place = local_machine(cpus=workers, gpus=0)
        run_on_ray(search, plan_resources(place), run_trial=Sleeper(reports, workers), tick=tick)
        search.close()
        folder.close()
    # while every worker had a trial: the last ones find nothing more to do
    full = [at for at in ticks if at[3] <= trials - workers]
    (start, cpu_before, lines_before, ended_before), (end, cpu, lines, ended) = full[0], full[-1]
    seconds = end - start
    return {
        "workers": workers,
        "reports a trial": reports,
        "reports/s": (lines - lines_before) / seconds,
        "of the possible": (lines - lines_before) * PAUSE_SECONDS / (seconds * workers),
        "trials/s": (ended - ended_before) / seconds,
        "driver's CPU": (cpu - cpu_before) / seconds,
    }


def _done(search: Search, reports: int) -> tuple[int, int]:
    """Return the reports that came, and the trials that ended."""
    ended = len(search.results)
    running = sum(len(trial.reports) for trial in search.running.values())
    return ended * reports + running, ended


def fit(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the CPU seconds of a report, of a trial, and of a second in which nothing comes."""
    rates = np.array([[row["reports/s"], row["trials/s"], 1.0] for row in rows])
    spent = np.array([row["driver's CPU"] for row in rows])
    costs, *_ = np.linalg.lstsq(rates, spent, rcond=None)
    residual = spent - rates @ costs
    names = ("per report", "per trial", "per second")
    return dict(zip(names, map(float, costs), strict=True)) | {
        "largest residual": float(np.abs(residual).max())
    }


def print_rows(rows: list[dict[str, Any]], console: Console) -> None:
    """Print the table."""
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(f"{value:.3g}" for value in row.values()))
    console.print(table)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--workers", type=int, nargs="*", default=list(WORKERS))
    parser.add_argument("--quick", action="store_true", help="2 and 4 workers")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.workers = [2, 4]
    each = QUICK_TRIALS_PER_WORKER if options.quick else TRIALS_PER_WORKER
    console = Console()
    rows = []
    for workers, reports in itertools.product(options.workers, REPORTS):
        rows.append(measure(workers, reports, each * workers))
        print_rows(rows[-1:], console)
    console.print()
    print_rows(rows, console)
    costs = fit(rows)
    told = ", ".join(f"{value:.4f} {name}" for name, value in costs.items())
    console.print(f"the driver's CPU seconds: {told}", highlight=False)
    measured = results("scaling", 1, rows)
    measured["fit"] = costs
    console.print(f"{measured['hardware']}  {measured['versions']}", highlight=False, style="dim")
    write_results(options.json, measured)


if __name__ == "__main__":
    main()
