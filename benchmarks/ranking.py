"""Measure the time and memory for ranking a run and writing its report.

    python -m benchmarks.ranking [--quick] [--trials 1000,10000] [--json FILE]

The runs are generated, with 20 reports per trial, and configurations and results as written by a
search. Each repetition is a new process, timed from start to end, including imports; memory is the
peak of that process. The file cache is warm, as after a search.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.harness.results_file import finish, new_parser, print_rows
from tests.factories import make_manifest, make_report, make_result, make_spec
from tune_ode import records
from tune_ode.config import TrialConfig
from tune_ode.records import Outcome, Report

REPORTS = 20
METHODS = ("euler", "midpoint", "rk4", "dopri5")


def generate(folder: Path, trials: int, seed: int = 0) -> None:
    """Write a run with synthetic trials."""
    draw = np.random.default_rng(seed)
    config = TrialConfig().to_dict()
    _write(
        folder / records.MANIFEST,
        make_manifest(
            name=folder.name, state="finished", options={"command": "search", "dataset": "digits"},
            base=config, trial_seconds=100.0, validation_images=288, hardware={"cpus": 2},
        ),
    )  # fmt: skip
    for number in range(1, trials + 1):
        trial = folder / records.TRIALS / f"{number:04d}"
        trial.mkdir(parents=True)
        _write_trial(trial, config, number, draw)


def _write_trial(
    trial: Path, config: dict[str, Any], number: int, draw: np.random.Generator
) -> None:
    method, gradient = str(draw.choice(METHODS)), str(draw.choice(["backprop", "adjoint"]))
    rate, width = float(10 ** draw.uniform(-4, 0)), int(draw.choice([16, 32, 64]))
    params = {
        "solver.method": method, "solver.gradient": gradient, "model.width": width,
        "optimizer.learning_rate": rate,
    }  # fmt: skip
    solver = config["solver"] | {"method": method, "gradient": gradient}
    _write(
        trial / records.CONFIG,
        make_spec(trial.name, config=config | {"solver": solver}, params=params),
    )
    outcome = Outcome(draw.choice(["completed", "stopped", "diverged"], p=[0.3, 0.65, 0.05]))
    pace = float(width / 32 * draw.lognormal(0, 0.3))
    limit = float(0.99 - 0.1 * abs(np.log10(rate) + 1.5) - draw.exponential(0.02))
    with (trial / records.REPORTS).open("w") as file:
        for epoch in range(1, REPORTS + 1):
            accuracy = max(0.1, limit - 0.8 * np.exp(-epoch / 4) + draw.normal(0, 0.01))
            report = _report(trial.name, epoch, pace, float(min(accuracy, 1.0)))
            file.write(records.dumps(report.to_json()) + "\n")
    started = number * 10.0
    _write(
        trial / records.OUTCOME,
        make_result(
            trial.name, outcome,
            reason="the training loss is not finite" if outcome == Outcome.DIVERGED else "",
            started=started, ended=started + 1.2 * pace * REPORTS,
        ),
    )  # fmt: skip


def _report(trial_id: str, epoch: int, pace: float, accuracy: float) -> Report:
    seconds = pace * epoch
    return make_report(
        trial_id, epoch, accuracy, seconds=seconds, timestamp=seconds, warmup_seconds=0.5,
        epoch_seconds=pace, eval_seconds=0.1 * seconds, wall_seconds=1.1 * seconds + 0.5,
        cpu_seconds=1.1 * seconds, train_loss=1 - accuracy, val_loss=1 - accuracy,
        nfe_backward=4.0, samples_per_second=1000.0, concurrent_trials=2,
    )  # fmt: skip


def _write(path: Path, record: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(records.dumps(record.to_json()) + "\n")


def measure(command: list[str]) -> tuple[float, float]:
    """Run tune-ode in a new process; return its seconds and peak memory in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "tune_ode.cli", *command],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status != 0:
        raise SystemExit(f"tune-ode {' '.join(command)} failed")
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__, quick="1,000 trials, 2 repetitions")
    parser.add_argument("--trials", default="1000,10000", help="sizes of the generated runs")
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    if options.quick:
        options.trials, options.repetitions = "1000", 2
    console = Console()
    sizes = [int(size) for size in options.trials.split(",")]
    figures: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = {size: Path(folder) / f"{size}-trials" for size in sizes}
        for size, run in runs.items():
            with console.status(f"generating {size} trials …"):
                generate(run, size)
        for repetition in range(options.repetitions):
            for size, run in runs.items():
                for command in (["rank", "--json"], ["report"]):
                    with console.status(f"{command[0]} of {size} trials, {repetition + 1} …"):
                        taken = measure([*command, str(run)])
                    figures.setdefault((command[0], size), []).append(taken)
    rows = [
        {
            "command": command,
            "trials": size,
            "median seconds": median(seconds for seconds, _ in taken),
            "slowest": max(seconds for seconds, _ in taken),
            "peak memory (MiB)": max(memory for _, memory in taken),
            "every repetition": [seconds for seconds, _ in taken],
        }
        for (command, size), taken in figures.items()
    ]
    print_rows(rows, console)
    finish(console, options.json, "ranking", options.repetitions, rows)


if __name__ == "__main__":
    main()
