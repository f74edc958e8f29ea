"""How long it takes to rank a run, and to write its report, and how much memory that needs.

    python -m benchmarks.ranking [--quick] [--trials 1000,10000] [--json FILE]

Runs are generated: 20 report lines a trial, configurations and outcomes as a search writes them.
Each repetition is a fresh process, timed from start to end, imports included; memory is that
process's peak. The file cache is warm, as after a search.
"""

from __future__ import annotations

import argparse
import json
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
from rich.table import Table

from benchmarks.results_file import results, write_results
from tune_ode import records
from tune_ode.config import TrialConfig
from tune_ode.records import Outcome, Report, RunManifest, TrialResult, TrialSpec

LINES = 20
METHODS = ("euler", "midpoint", "rk4", "dopri5")


def generate(folder: Path, trials: int, seed: int = 0) -> None:
    """Write a run of so many made-up trials."""
    draw = np.random.default_rng(seed)
    config = TrialConfig().to_dict()
    _write(
        folder / records.MANIFEST,
        RunManifest(
            name=folder.name, state="finished", options={"command": "search", "dataset": "digits"},
            space={}, base=config, chance=0.1, trial_seconds=100.0, created=0.0,
            validation_images=288, hardware={"cpus": 2},
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
        TrialSpec(
            trial_id=trial.name, config=config | {"solver": solver}, params=params, created=0.0
        ),
    )
    outcome = Outcome(draw.choice(["completed", "stopped", "diverged"], p=[0.3, 0.65, 0.05]))
    pace = float(width / 32 * draw.lognormal(0, 0.3))
    limit = float(0.99 - 0.1 * abs(np.log10(rate) + 1.5) - draw.exponential(0.02))
    with (trial / records.REPORTS).open("w") as file:
        for epoch in range(1, LINES + 1):
            accuracy = max(0.1, limit - 0.8 * np.exp(-epoch / 4) + draw.normal(0, 0.01))
            line = _line(trial.name, epoch, pace, float(min(accuracy, 1.0)))
            file.write(records.dumps(line.to_json()) + "\n")
    started = number * 10.0
    _write(
        trial / records.OUTCOME,
        TrialResult(
            trial_id=trial.name, attempt=1, outcome=outcome,
            reason="the training loss is not finite" if outcome == Outcome.DIVERGED else "",
            started=started, ended=started + 1.2 * pace * LINES,
        ),
    )  # fmt: skip


def _line(trial_id: str, epoch: int, pace: float, accuracy: float) -> Report:
    seconds = pace * epoch
    return Report(
        trial_id=trial_id, attempt=1, timestamp=seconds, epoch=float(epoch), train_seconds=seconds,
        warmup_seconds=0.5, epoch_seconds=pace, eval_seconds=0.1 * seconds,
        wall_seconds=1.1 * seconds + 0.5, cpu_seconds=1.1 * seconds, train_loss=1 - accuracy,
        train_accuracy=accuracy, val_loss=1 - accuracy, val_accuracy=accuracy, nfe_forward=4.0,
        nfe_backward=4.0, vjp_backward=4.0, solver_steps=1.0, rejected_steps=0.0,
        learning_rate=0.1, samples_per_second=1000.0, peak_memory_bytes=None, device="cpu",
        node="here", concurrent_trials=2,
    )  # fmt: skip


def _write(path: Path, record: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(records.dumps(record.to_json()) + "\n")


def measure(command: list[str]) -> tuple[float, float]:
    """Run tune-ode in a process of its own; return seconds and peak memory in MiB."""
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", default="1000,10000", help="sizes of the generated runs")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="1,000 trials, 2 repetitions")
    parser.add_argument("--json", type=Path)
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
    table = Table(box=None, pad_edge=False)
    names = [name for name in rows[0] if name != "every repetition"]
    for name in names:
        table.add_column(name, justify="left" if name == "command" else "right")
    for row in rows:
        texts = [f"{v:.2f}" if isinstance(v := row[name], float) else str(v) for name in names]
        table.add_row(*texts)
    console.print(table)
    measured = results("ranking", options.repetitions, rows)
    console.print(json.dumps(measured["hardware"]), highlight=False, style="dim")
    write_results(options.json, measured)


if __name__ == "__main__":
    main()
