"""What the driver of a search costs at scale: thousands of trials on a thousand simulated workers.

    python -m benchmarks.simulation_scale [--quick] [--json FILE]

The search, its run folder on disk and its rungs are those of `tune-ode search`; Ray and trainings
are replaced by a simulated clock and made-up learning curves. Proposals are told apart: they are
the sampler's, and TPE's grow with what it has seen.
"""

from __future__ import annotations

import argparse
import math
import random
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import optuna
from rich.console import Console
from rich.table import Table

from benchmarks.results_file import results, write_results
from search_spaces import PRESETS
from tune_ode.config import TrialConfig
from tune_ode.records import Outcome
from tune_ode.simulation.recordings import Point, Recording, Recordings
from tune_ode.simulation.simulate import SimulationOptions, simulate_search

SPACE, _ = PRESETS["quick"]
CURVES = 200
TRIAL_SECONDS = 60.0
SCALES = {"random": [(1_000, 100), (10_000, 1_000)], "tpe": [(1_000, 100)]}
"""Sampler → (trials, workers)."""
QUICK = {"random": [(1_000, 100)]}


def made_up(study: optuna.Study, dice: random.Random) -> Recording:
    """Return a trial whose accuracy saturates; a wider network is slower."""
    params = SPACE.sample(study.ask())
    epochs = int(params["training.epochs"])  # type: ignore[arg-type]
    pace = float(params["model.width"]) / 16 * dice.uniform(0.5, 1.5)  # type: ignore[arg-type]
    best = dice.betavariate(5, 2)
    curve = [
        Point(epoch, pace * epoch, pace * epoch + 2.0, best * (1 - math.exp(-epoch / 3)))
        for epoch in range(1, epochs + 1)
    ]
    return Recording(params, Outcome.COMPLETED, epochs, curve)


def measure(sampler: str, trials: int, workers: int) -> dict[str, Any]:
    """Simulate one search."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    dice = random.Random(0)
    recordings = Recordings(
        "made-up",
        SPACE,
        TrialConfig(),
        0.1,
        TRIAL_SECONDS,
        [made_up(study, dice) for _ in range(CURVES)],
    )
    question = SimulationOptions(
        source="made-up", samplers=[sampler], schedulers=["seconds"], workers=workers,
        repetitions=1, trials=trials,
    )  # fmt: skip
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="tune-ode-scale-") as scratch:
        (strategy,) = question.strategies
        found = simulate_search(recordings, question, strategy, 0, Path(scratch) / "run")
    return {
        "sampler": sampler,
        "trials": found.trials,
        "workers": workers,
        "results": found.results,
        "simulated_hours": found.seconds / 3600,
        "seconds": time.perf_counter() - start,
        "driver_ms_per_result": 1e3 * found.driver_seconds / found.results,
        "proposal_ms_per_trial": 1e3 * found.proposal_seconds / trials,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="1,000 trials on 100 workers")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console = Console()
    rows = []
    for sampler, scales in (QUICK if options.quick else SCALES).items():
        for trials, workers in scales:
            rows.append(measure(sampler, trials, workers))
            table = Table(box=None, pad_edge=False)
            for name, value in rows[-1].items():
                table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
            console.print(table)
            console.print()
    measured = results("simulation_scale", 1, rows)
    console.print(f"{measured['hardware']}  {measured['versions']}", highlight=False, style="dim")
    write_results(options.json, measured)


if __name__ == "__main__":
    main()
