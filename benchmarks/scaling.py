"""Measure the CPU time of the driver per report and per trial with many workers.

    python -m benchmarks.scaling [--quick] [--workers 2 8 16 32] [--json FILE]

The benchmark runs a real Ray with more declared workers than cores; the trials sleep between
reports, so a large number of them can run at once. Short and long trials give different ratios of
reports to trials, and a least-squares fit separates the cost of each. The sampler is `random`,
because `benchmarks.overhead` measures the proposals of `tpe`. The processes of Ray are not
included.
"""

from __future__ import annotations

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

from benchmarks.harness.results_file import finish, new_parser, print_rows
from benchmarks.overhead import instant, new_folder, open_search
from tune_ode.machine.resources import local_machine, plan_resources
from tune_ode.records import Report
from tune_ode.tuning.search.search import Search
from tune_ode.worker.task import Task, TrialEvent

WORKERS = (2, 8, 16, 32)
REPORTS = (5, 25)
"""Reports of a short trial, and of a long one."""
PAUSE_SECONDS = 0.5
"""Pause between two reports of a trial."""
TRIALS_PER_WORKER = 6
QUICK_TRIALS_PER_WORKER = 3
_UP = "worker-"


@dataclass(frozen=True)
class Sleeper:
    """A trial that pauses before each of its reports."""

    reports: int
    workers: int

    def __call__(self, task: Task) -> Iterator[TrialEvent]:
        """Wait until all workers have started, if this is one of the first trials; then report."""
        folder = Path(task.run_folder)
        (folder / f"{_UP}{os.getpid()}").touch()
        if int(task.trial_id) <= self.workers:
            while not _all_up(folder, self.workers):
                time.sleep(0.2)
        *_, report, end = instant(task)
        assert isinstance(report, Report)
        for epoch in range(1, self.reports + 1):
            time.sleep(PAUSE_SECONDS)
            # below the first rung, so that no trial is stopped
            yield replace(report, epoch=float(epoch), train_seconds=1e-3 * epoch)
        yield end


def _all_up(folder: Path, workers: int) -> bool:
    return len(list(folder.glob(f"{_UP}*"))) >= workers


def measure(workers: int, reports: int, trials: int) -> dict[str, Any]:
    """Run one search; return the rates of reports and trials, and the driver's CPU time."""
    from tune_ode.tuning.ray_backend.engine import run_on_ray

    ticks: list[tuple[float, float, int, int]] = []
    with tempfile.TemporaryDirectory(prefix="tune-ode-scaling-") as scratch:
        folder = new_folder(Path(scratch) / "run")
        search = open_search(folder, "random", trials)

        def tick() -> None:
            if ticks or _all_up(folder.path, workers):
                ticks.append((time.perf_counter(), time.process_time(), *_done(search, reports)))

        cluster = local_machine(cpus=workers, gpus=0)
        run_on_ray(search, plan_resources(cluster), run_trial=Sleeper(reports, workers), tick=tick)
        search.close()
        folder.close()
    # only while every worker has a trial
    full = [at for at in ticks if at[3] <= trials - workers]
    (start, cpu_before, reports_before, ended_before) = full[0]
    (end, cpu, reports_after, ended) = full[-1]
    seconds = end - start
    return {
        "workers": workers,
        "reports per trial": reports,
        "reports/s": (reports_after - reports_before) / seconds,
        "share of maximum": (reports_after - reports_before) * PAUSE_SECONDS / (seconds * workers),
        "trials/s": (ended - ended_before) / seconds,
        "driver's CPU": (cpu - cpu_before) / seconds,
    }


def _done(search: Search, reports: int) -> tuple[int, int]:
    """Return the number of reports received, and of trials ended."""
    ended = len(search.results)
    running = sum(len(trial.reports) for trial in search.running.values())
    return ended * reports + running, ended


def fit(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the CPU seconds per report, per trial, and per second without either."""
    rates = np.array([[row["reports/s"], row["trials/s"], 1.0] for row in rows])
    spent = np.array([row["driver's CPU"] for row in rows])
    costs, *_ = np.linalg.lstsq(rates, spent, rcond=None)
    residual = spent - rates @ costs
    names = ("per report", "per trial", "per second")
    return dict(zip(names, map(float, costs), strict=True)) | {
        "largest residual": float(np.abs(residual).max())
    }


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__, quick="2 and 4 workers")
    parser.add_argument("--workers", type=int, nargs="*", default=list(WORKERS))
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
    text = ", ".join(f"{value:.4f} {name}" for name, value in costs.items())
    console.print(f"CPU seconds of the driver: {text}", highlight=False)
    finish(console, options.json, "scaling", 1, rows, fit=costs)


if __name__ == "__main__":
    main()
