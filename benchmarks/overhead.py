"""What a search costs besides training: seconds per trial with a trainable that answers at once.

    python -m benchmarks.overhead [--quick] [--trials 10 100 …] [--samplers …] [--json FILE]

Real Ray with two workers, a run folder on disk with its journal, the `quick` space. Each trial
reports three epochs and completes. Beside it: one proposal, and taking the run up again, at that
size of the study.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.results_file import results, write_results
from search_spaces import PRESETS
from tune_ode.config import TrialConfig
from tune_ode.machine.resources import local_machine, plan_resources
from tune_ode.records import Outcome, Report, RunManifest
from tune_ode.runs.folder import RunFolder
from tune_ode.tuning.search.limits import Budget
from tune_ode.tuning.search.search import Search
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.worker.spec import WorkerSpec
from tune_ode.worker.task import Task, TrialEnd, TrialEvent

WORKERS = 2
SAMPLERS = ("random", "tpe")
EPOCHS = 3
PROPOSALS = 10
"""Proposals timed at each size."""
TRIAL_SECONDS = 60.0
SPACE, _ = PRESETS["quick"]


def instant(task: Task) -> Iterator[TrialEvent]:
    """Train nothing: report three epochs and end."""
    for epoch in range(1, EPOCHS + 1):
        yield Report(
            trial_id=task.trial_id, attempt=task.attempt, timestamp=0.0, epoch=float(epoch),
            train_seconds=0.1 * epoch, warmup_seconds=0.0, epoch_seconds=0.1, eval_seconds=0.0,
            wall_seconds=0.1 * epoch, cpu_seconds=0.0, train_loss=1.0, train_accuracy=0.5,
            val_loss=1.0, val_accuracy=0.5, nfe_forward=1.0, nfe_backward=0.0, vjp_backward=1.0,
            solver_steps=1.0, rejected_steps=0.0, learning_rate=0.1, samples_per_second=None,
            peak_memory_bytes=None, device="cpu", node="here", concurrent_trials=WORKERS,
        )  # fmt: skip
    yield TrialEnd(outcome=Outcome.COMPLETED)


def new_folder(path: Path) -> RunFolder:
    """Make a run folder."""
    manifest = RunManifest(
        name=path.name,
        state="running",
        options={},
        space=SPACE.to_dict(),
        base=TrialConfig().to_dict(),
        chance=0.1,
        trial_seconds=TRIAL_SECONDS,
        created=time.time(),
    )
    return RunFolder.create(path, manifest)


def open_search(folder: RunFolder, sampler: str, trials: int) -> Search:
    """Start or take up a search."""
    return Search(
        folder,
        StudyAdapter(SPACE, journal=folder.study_path, sampler=sampler),
        TrialConfig(),
        Budget(trials=trials, seconds=None, trial_seconds=TRIAL_SECONDS),
        WorkerSpec(data_dir=None, device="cpu", threads=1),
    )


def time_search(folder: RunFolder, sampler: str, trials: int) -> dict[str, float]:
    """Run a search on Ray; return its seconds per trial, and those of Ray's start and end."""
    from tune_ode.tuning.ray_backend.engine import run_on_ray

    search = open_search(folder, sampler, trials)
    ends: list[float] = []

    def tick() -> None:
        if len(search.results) > len(ends):
            ends.extend([time.perf_counter()] * (len(search.results) - len(ends)))

    start = time.perf_counter()
    run_on_ray(
        search, plan_resources(local_machine(cpus=WORKERS, gpus=0)), run_trial=instant, tick=tick
    )
    search.close()
    end = time.perf_counter()
    assert len(search.results) == trials
    # the first end of each worker comes after its process has started, which takes seconds
    turnover = (ends[-1] - ends[WORKERS]) / (trials - WORKERS - 1)
    latest = ends[-max(trials // 10, WORKERS + 1) :]
    return {
        "seconds_per_trial": turnover,
        "seconds_per_trial_last_tenth": (latest[-1] - latest[0]) / (len(latest) - 1),
        "start_and_end_seconds": (end - start) - turnover * trials,
    }


def time_proposals(folder: RunFolder, sampler: str) -> float:
    """Return the median seconds of one proposal, as the study stands."""
    proposals = StudyAdapter(SPACE, journal=folder.study_path, sampler=sampler)
    seconds = []
    for _ in range(PROPOSALS):
        start = time.perf_counter()
        proposals.ask()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def time_take_up(path: Path, trials: int) -> float:
    """Return the seconds that a resume takes to read the run before it goes on."""
    start = time.perf_counter()
    folder = RunFolder(path)
    open_search(folder, "random", trials)
    folder.close()
    return time.perf_counter() - start


def measure(sampler: str, trials: int) -> dict[str, Any]:
    """Run one search and measure everything about it."""
    with tempfile.TemporaryDirectory(prefix="tune-ode-overhead-") as scratch:
        folder = new_folder(Path(scratch) / "run")
        row: dict[str, Any] = {"sampler": sampler, "trials": trials}
        row |= time_search(folder, sampler, trials)
        for proposer in SAMPLERS:
            row[f"seconds_per_{proposer}_proposal"] = time_proposals(folder, proposer)
        folder.close()
        row["take_up_seconds"] = time_take_up(folder.path, trials)
        return row


def print_rows(rows: list[dict[str, Any]], console: Console) -> None:
    """Print the table."""
    table = Table(box=None, pad_edge=False)
    table.add_column("sampler")
    headings = ["trials", "s/trial", "last tenth", *(f"{s} proposal s" for s in SAMPLERS)]
    for heading in (*headings, "take up s", "start+end s"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["sampler"],
            str(row["trials"]),
            f"{row['seconds_per_trial']:.3f}",
            f"{row['seconds_per_trial_last_tenth']:.3f}",
            *(f"{row[f'seconds_per_{proposer}_proposal']:.4f}" for proposer in SAMPLERS),
            f"{row['take_up_seconds']:.2f}",
            f"{row['start_and_end_seconds']:.1f}",
        )
    console.print(table)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, nargs="*", default=[10, 100, 1000, 5000])
    parser.add_argument("--samplers", nargs="*", choices=SAMPLERS, default=SAMPLERS)
    parser.add_argument("--quick", action="store_true", help="10 and 100 trials")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.trials = [10, 100]
    console = Console()
    rows = []
    for sampler in options.samplers:
        for trials in options.trials:
            rows.append(measure(sampler, trials))
            print_rows(rows[-1:], console)
    console.print()
    print_rows(rows, console)
    measured = results("overhead", 1, rows)
    console.print(f"{measured['hardware']}  {measured['versions']}", highlight=False, style="dim")
    write_results(options.json, measured)


if __name__ == "__main__":
    main()
