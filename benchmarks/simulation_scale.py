"""Measure the cost of the driver for thousands of trials on a thousand simulated workers.

    python -m benchmarks.simulation_scale [--quick] [--json FILE]

The search, its run directory on disk and its rungs are those of `tune-ode search`. A simulated
clock and synthetic learning curves replace Ray and the trainings. The time for proposals is
measured separately, because it depends on the sampler and, for TPE, on the number of earlier
trials.
"""

from __future__ import annotations

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

from benchmarks.harness.results_file import finish, new_parser
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


def synthetic_trial(study: optuna.Study, dice: random.Random) -> Recording:
    """Return a trial with saturating accuracy; a wider network is slower."""
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
        "synthetic",
        SPACE,
        TrialConfig(),
        0.1,
        TRIAL_SECONDS,
        [synthetic_trial(study, dice) for _ in range(CURVES)],
    )
    options = SimulationOptions(
        source="synthetic", samplers=[sampler], schedulers=["seconds"], workers=workers,
        repetitions=1, trials=trials,
    )  # fmt: skip
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="tune-ode-scale-") as scratch:
        (strategy,) = options.strategies
        search = simulate_search(recordings, options, strategy, 0, Path(scratch) / "run")
    return {
        "sampler": sampler,
        "trials": search.trials,
        "workers": workers,
        "results": search.events,
        "simulated_hours": search.seconds / 3600,
        "seconds": time.perf_counter() - start,
        "driver_ms_per_result": 1e3 * search.driver_seconds / search.events,
        "proposal_ms_per_trial": 1e3 * search.proposal_seconds / trials,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__, quick="1,000 trials on 100 workers")
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
    finish(console, options.json, "simulation_scale", 1, rows)


if __name__ == "__main__":
    main()
