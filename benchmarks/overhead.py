"""Measure the overhead of a search per trial, with trials that end immediately.

    python -m benchmarks.overhead [--quick] [--trials 10 100 …] [--samplers …] [--json FILE]

The benchmark uses a real Ray with two workers, a run directory on disk with its journal, and the
space `quick`. Each trial reports three epochs and completes. For each size of the study, it also
measures one proposal and the resume of the run.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness.results_file import finish, new_parser
from search_spaces import PRESETS, to_dict
from tests.factories import make_manifest, make_report
from tune_ode.config import TrialConfig
from tune_ode.machine.resources import local_machine, plan_resources
from tune_ode.records import Outcome
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
"""Number of proposals timed for each size of the study."""
TRIAL_SECONDS = 60.0
SPACE, _ = PRESETS["quick"]


def instant(task: Task) -> Iterator[TrialEvent]:
    """Report three epochs without training, then end."""
    for epoch in range(1, EPOCHS + 1):
        yield make_report(
            task.trial_id, epoch, attempt=task.attempt, seconds=0.1 * epoch,
            concurrent_trials=WORKERS,
        )  # fmt: skip
    yield TrialEnd(outcome=Outcome.COMPLETED)


def new_folder(path: Path) -> RunFolder:
    """Create a run directory."""
    manifest = make_manifest(
        name=path.name, space=to_dict(SPACE), trial_seconds=TRIAL_SECONDS, created=time.time()
    )
    return RunFolder.create(path, manifest)


def open_search(folder: RunFolder, sampler: str, trials: int) -> Search:
    """Start or resume a search."""
    return Search(
        folder,
        StudyAdapter(SPACE, journal=folder.study_path, sampler=sampler),
        TrialConfig(),
        Budget(trials=trials, seconds=None, trial_seconds=TRIAL_SECONDS),
        WorkerSpec(data_dir=None, device="cpu", threads=1),
    )


def time_search(folder: RunFolder, sampler: str, trials: int) -> dict[str, float]:
    """Run a search on Ray; return the seconds per trial, and for start and end."""
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
    # the first trial of each worker includes the start of its process, which takes seconds
    turnover = (ends[-1] - ends[WORKERS]) / (trials - WORKERS - 1)
    latest = ends[-max(trials // 10, WORKERS + 1) :]
    return {
        "seconds_per_trial": turnover,
        "seconds_per_trial_last_tenth": (latest[-1] - latest[0]) / (len(latest) - 1),
        "start_and_end_seconds": (end - start) - turnover * trials,
    }


def time_proposals(folder: RunFolder, sampler: str) -> float:
    """Return the median seconds of one proposal for the current study."""
    study = StudyAdapter(SPACE, journal=folder.study_path, sampler=sampler)
    seconds = []
    for _ in range(PROPOSALS):
        start = time.perf_counter()
        study.ask()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def time_resume(path: Path, trials: int) -> float:
    """Return the seconds that a resume takes to read the run."""
    start = time.perf_counter()
    folder = RunFolder(path)
    open_search(folder, "random", trials)
    folder.close()
    return time.perf_counter() - start


def measure(sampler: str, trials: int) -> dict[str, Any]:
    """Run one search and measure its overhead."""
    with tempfile.TemporaryDirectory(prefix="tune-ode-overhead-") as scratch:
        folder = new_folder(Path(scratch) / "run")
        row: dict[str, Any] = {"sampler": sampler, "trials": trials}
        row |= time_search(folder, sampler, trials)
        for proposer in SAMPLERS:
            row[f"seconds_per_{proposer}_proposal"] = time_proposals(folder, proposer)
        folder.close()
        row["resume_seconds"] = time_resume(folder.path, trials)
        return row


def print_overheads(rows: list[dict[str, Any]], console: Console) -> None:
    """Print the table."""
    table = Table(box=None, pad_edge=False)
    table.add_column("sampler")
    headings = ["trials", "s/trial", "last tenth", *(f"{s} proposal s" for s in SAMPLERS)]
    for heading in (*headings, "resume s", "start+end s"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["sampler"],
            str(row["trials"]),
            f"{row['seconds_per_trial']:.3f}",
            f"{row['seconds_per_trial_last_tenth']:.3f}",
            *(f"{row[f'seconds_per_{proposer}_proposal']:.4f}" for proposer in SAMPLERS),
            f"{row['resume_seconds']:.2f}",
            f"{row['start_and_end_seconds']:.1f}",
        )
    console.print(table)


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__, quick="10 and 100 trials")
    parser.add_argument("--trials", type=int, nargs="*", default=[10, 100, 1000, 5000])
    parser.add_argument("--samplers", nargs="*", choices=SAMPLERS, default=SAMPLERS)
    options = parser.parse_args()
    if options.quick:
        options.trials = [10, 100]
    console = Console()
    rows = []
    for sampler in options.samplers:
        for trials in options.trials:
            rows.append(measure(sampler, trials))
            print_overheads(rows[-1:], console)
    console.print()
    print_overheads(rows, console)
    finish(console, options.json, "overhead", 1, rows)


if __name__ == "__main__":
    main()
