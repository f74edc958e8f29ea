"""Measure what idle OpenMP threads that spin cost, on idle cores and on shared ones.

    python -m benchmarks.shared_cores [--repetitions 7] [--json FILE]

A thread that waits for its next part of a step spins first and sleeps afterwards. Spinning saves
the time to wake up, but takes the core from other programs. A training step at MNIST shape runs on
all cores with each spin count of libgomp, in isolation and next to a training of another process
with the default count. The windows are interleaved in a rotating order, so that a drift of the
machine affects all counts alike, and ratios are computed within a repetition.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any
from unittest.mock import patch

import numpy as np
from rich.console import Console

from benchmarks.harness.results_file import finish, new_parser, print_rows

DEFAULT = "300000"
"""libgomp's value if nothing is set."""
SPIN_COUNTS = (DEFAULT, "30000", "10000", "3000", "1000", "0")
"""Values of GOMP_SPINCOUNT."""
WINDOW_SECONDS = 1.0


class Training:
    """A training in a process with a spin count."""

    def __init__(self, spin_count: str) -> None:
        self._process = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        with patch.dict(
            os.environ, {"GOMP_SPINCOUNT": spin_count}
        ):  # libgomp reads it when torch is imported
            self.steps(0.0).result()

    def steps(self, seconds: float) -> Future[float]:
        """Train for some seconds, at least one step; return the seconds per step."""
        return self._process.submit(_steps, seconds)

    def close(self) -> None:
        """End the process."""
        self._process.shutdown()


_training: list[Any] = []


def _steps(seconds: float) -> float:
    if not _training:
        _training.append(_build())
    (step,) = _training
    count, start = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - start < seconds:
        step()
        count += 1
    return (time.perf_counter() - start) / count


def _build() -> Any:
    import torch

    from tune_ode.classifier import build_classifier
    from tune_ode.config import TrialConfig
    from tune_ode.process.limits import usable_cores
    from tune_ode.training.memory import disable_malloc_trim
    from tune_ode.training.optimization.optimizers import build_optimizer

    torch.set_num_threads(usable_cores().count)
    disable_malloc_trim()
    config = TrialConfig().with_values({"solver.method": "euler"})
    model = build_classifier(config.model, config.solver, input_shape=(1, 28, 28), classes=10)
    optimizer = build_optimizer(config.optimizer, model)
    images, labels = torch.randn(64, 1, 28, 28), torch.randint(10, (64,))

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    step()
    return step


def measure(repetitions: int, counts: list[str], console: Console) -> dict[str, list[list[float]]]:
    """Return the seconds per step, isolated and shared, of each repetition by spin count."""
    trainings = {count: Training(count) for count in counts}
    other = Training(DEFAULT)
    seconds: dict[str, list[list[float]]] = {count: [[], []] for count in counts}
    for repetition in range(repetitions):
        turn = repetition % len(counts)
        for count in counts[turn:] + counts[:turn]:
            seconds[count][0].append(trainings[count].steps(WINDOW_SECONDS).result())
            running = other.steps(WINDOW_SECONDS)
            seconds[count][1].append(trainings[count].steps(WINDOW_SECONDS).result())
            running.result()
        console.print(f"  {repetition + 1}/{repetitions}", style="dim", highlight=False)
    for training in (*trainings.values(), other):
        training.close()
    return seconds


def rows_of(seconds: dict[str, list[list[float]]]) -> list[dict[str, Any]]:
    """Return the table: median milliseconds per step, and ratios to the default count."""
    rows = []
    for count, measured in seconds.items():
        row: dict[str, Any] = {"spin_count": count}
        for name, one, default in zip(
            ("isolated", "shared"), measured, seconds[DEFAULT], strict=True
        ):
            ratios = [a / b for a, b in zip(one, default, strict=True)]
            low, high = _interval(ratios)
            row |= {
                f"{name}_ms": 1e3 * statistics.median(one),
                f"{name}_ratio": statistics.median(ratios),
                f"{name}_low": low,
                f"{name}_high": high,
                f"{name}_seconds": one,
            }
        rows.append(row)
    return rows


def _interval(ratios: list[float]) -> tuple[float, float]:
    """Return a 95 % bootstrap interval of the median."""
    drawn = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return float(low), float(high)


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__, quick="two spin counts, 2 repetitions")
    parser.add_argument("--repetitions", type=int, default=7)
    options = parser.parse_args()
    counts = list(SPIN_COUNTS)
    if options.quick:
        options.repetitions, counts = 2, [DEFAULT, "1000"]
    console = Console()
    rows = rows_of(measure(options.repetitions, counts, console))
    print_rows(rows, console)
    finish(console, options.json, "shared_cores", options.repetitions, rows)


if __name__ == "__main__":
    main()
