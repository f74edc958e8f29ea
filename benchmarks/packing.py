"""Measure trials per hour, slowdown and memory of concurrent trials on one device.

    python -m benchmarks.packing [--quick] [--device cuda|cpu] [--repetitions 3] [--json FILE]

Eight equal trainings run one, two, four and eight at a time on one GPU (or on the cores of a CPU,
with one thread each). The clock starts after the processes have started and loaded the data.
Repetitions are interleaved in a rotating order. The benchmark also prints the choice of
`--gpus-per-trial auto`. It measures the device only and does not use Ray.
"""

from __future__ import annotations

import itertools
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.harness.results_file import finish, new_parser, print_rows
from search_spaces import PRESETS
from tune_ode.config import TrialConfig
from tune_ode.data import data_folder, load, trial_data
from tune_ode.errors import TuneOdeError
from tune_ode.machine.gpu_packing import (
    MAX_TRIALS_PER_GPU,
    largest_config,
    measure_in_subprocess,
    share_of_gpu,
)
from tune_ode.text import pluralize
from tune_ode.training import training_loop

TRIALS = 8
QUICK_TRIALS = 4
AT_ONCE = (1, 2, 4, 8)
EPOCHS = 3


def train_some(
    config: TrialConfig, data_dir: Path, device_name: str, trials: int
) -> list[tuple[float, int]]:
    """Run trainings in this process; return train_seconds and peak bytes of each."""
    torch.set_num_threads(1)
    device = torch.device(device_name)
    data = trial_data(load(config.data, data_dir), config, device)
    found = []
    for _ in range(trials):
        *_, last = training_loop(config, data, device=device)
        found.append((last.train_seconds, last.peak_memory_bytes or 0))
    return found


def time_packing(
    pool: ProcessPoolExecutor,
    config: TrialConfig,
    data_dir: Path,
    device: str,
    at_once: int,
    trials: int,
) -> dict[str, float]:
    """Run trainings, `at_once` of them concurrently; return rates, seconds and memory."""
    start = time.perf_counter()
    lanes = [
        pool.submit(train_some, config, data_dir, device, trials // at_once) for _ in range(at_once)
    ]
    trained = list(itertools.chain.from_iterable(lane.result() for lane in lanes))
    wall = time.perf_counter() - start
    return {
        "wall": wall,
        "trials_per_hour": 3600 * trials / wall,
        "train_seconds": statistics.median(seconds for seconds, _ in trained),
        "peak": at_once * max(peak for _, peak in trained),
    }


def rows_of(found: dict[int, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """Return the rows; ratios are computed within a repetition."""

    def ratio(at_once: int, of: str) -> float:
        pairs = zip(found[at_once], found[1], strict=True)
        return statistics.median(packed[of] / single[of] for packed, single in pairs)

    return [
        {
            "at once": at_once,
            "trials per hour": statistics.median(one["trials_per_hour"] for one in measured),
            "times as many": 1 / ratio(at_once, "wall"),
            "slowdown of each": ratio(at_once, "train_seconds"),
            "peak memory (MiB)": max(one["peak"] for one in measured) / 2**20 or None,
            "wall": [one["wall"] for one in measured],
        }
        for at_once, measured in found.items()
    ]


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__, quick="four trainings, one and two at once, 2 repetitions")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("no GPU found; use --device cpu to pack trials onto CPU cores")
    at_once, trials = AT_ONCE, TRIALS
    if options.quick:
        options.repetitions, at_once, trials = 2, AT_ONCE[:2], QUICK_TRIALS
    console = Console()
    base = TrialConfig().with_values(
        {"data.dataset": options.dataset, "training.epochs": 1 if options.quick else EPOCHS}
    )
    data_dir = data_folder(options.data_dir)
    try:
        load(base.data, data_dir)
    except TuneOdeError as error:
        parser.error(str(error))
    if options.device == "cuda":
        peak = measure_in_subprocess(largest_config(PRESETS["quick"][0], base), data_dir)
        share = share_of_gpu(peak, MAX_TRIALS_PER_GPU)
        console.print(
            f"a large trial uses {peak.used / 2**30:.2f} of {peak.total / 2**30:.1f} GiB: auto "
            f"runs {pluralize(int(1 / share), 'trial')} on the GPU",
            highlight=False,
        )
    found: dict[int, list[dict[str, float]]] = {number: [] for number in at_once}
    spawn = multiprocessing.get_context("spawn")
    with (
        console.status("packing …") as status,
        ProcessPoolExecutor(max(at_once), mp_context=spawn) as pool,
    ):
        time_packing(
            pool, base, data_dir, options.device, max(at_once), trials
        )  # starts the processes
        for repetition in range(options.repetitions):
            turn = repetition % len(at_once)
            for number in at_once[turn:] + at_once[:turn]:
                status.update(f"repetition {repetition + 1}: {number} at once …")
                found[number].append(
                    time_packing(pool, base, data_dir, options.device, number, trials)
                )
    rows = rows_of(found)
    print_rows(rows, console)
    finish(console, options.json, "packing", options.repetitions, rows)


if __name__ == "__main__":
    main()
