"""Several trials on one device at once: trials an hour, slowdown of each, memory.

    python -m benchmarks.packing [--quick] [--device cuda|cpu] [--repetitions 3] [--json FILE]

Eight equal trainings, one after another, then two, four and eight at once, on one GPU (or on the
cores of a CPU, one thread each). Processes are started, and data loaded, before the clock starts.
The ways take turns, in an order that rotates. Beside it: what `--gpus-per-trial auto` would choose.
No Ray here: what is measured is the device.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.results_file import results, write_results
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
from tune_ode.training import train

TRIALS = 8
QUICK_TRIALS = 4
AT_ONCE = (1, 2, 4, 8)
EPOCHS = 3


def train_some(
    config: TrialConfig, data_dir: Path, device_name: str, trials: int
) -> list[tuple[float, int]]:
    """Train so many times in this process; return train_seconds and peak bytes of each."""
    torch.set_num_threads(1)
    device = torch.device(device_name)
    data = trial_data(load(config.data, data_dir), config, device)
    found = []
    for _ in range(trials):
        last = train(config, data, device=device).last
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
    """Run so many trainings, so many at once; return what they took."""
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
    """Return the table; ratios are taken within a repetition."""

    def ratio(at_once: int, of: str) -> float:
        pairs = zip(found[at_once], found[1], strict=True)
        return statistics.median(these[of] / alone[of] for these, alone in pairs)

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


def print_rows(rows: list[dict[str, Any]], console: Console) -> None:
    """Print the table."""
    names = [name for name in rows[0] if not isinstance(rows[0][name], list)]
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*("-" if row[name] is None else f"{row[name]:.4g}" for name in names))
    console.print(table)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument(
        "--quick", action="store_true", help="four, one and two at once, 2 repetitions"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU here; --device cpu packs trials onto CPU cores")
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
            f"a large trial takes {peak.used / 2**30:.2f} of {peak.total / 2**30:.1f} GiB: auto "
            f"lets {int(1 / share)} share the GPU",
            highlight=False,
        )
    found: dict[int, list[dict[str, float]]] = {number: [] for number in at_once}
    spawn = multiprocessing.get_context("spawn")
    with (
        console.status("packing …") as status,
        ProcessPoolExecutor(max(at_once), mp_context=spawn) as pool,
    ):
        time_packing(pool, base, data_dir, options.device, max(at_once), trials)  # processes start
        for repetition in range(options.repetitions):
            turn = repetition % len(at_once)
            for number in at_once[turn:] + at_once[:turn]:
                status.update(f"repetition {repetition + 1}: {number} at once …")
                found[number].append(
                    time_packing(pool, base, data_dir, options.device, number, trials)
                )
    rows = rows_of(found)
    print_rows(rows, console)
    measured = results("packing", options.repetitions, rows)
    console.print(f"{measured['hardware']}  {measured['versions']}", highlight=False, style="dim")
    write_results(options.json, measured)


if __name__ == "__main__":
    main()
