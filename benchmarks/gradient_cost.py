"""Measure memory, evaluations and time of each gradient method by number of steps.

    python -m benchmarks.gradient_cost --data-dir DIR [--quick] [--repetitions 3] [--json FILE]

The block of the classic recipe, with 64 channels of 6×6, is trained for some batches of 32. The
benchmark runs its forward and backward pass, with the mean cross-entropy of a batch. Bytes come
from the events of torch's allocator, relative to the initial value: those that the forward pass
keeps for the backward pass, and the peak over both. Seconds are medians of interleaved runs; ratios
are computed within a repetition.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.harness.results_file import finish, new_parser
from benchmarks.harness.trained_block import TrainedBlock, mean_loss, solver
from tune_ode.classifier.ode_block import OdeBlock
from tune_ode.config.solver import Gradient
from tune_ode.data import data_folder

BATCH, TRAINED = 32, 40
STEPS = (4, 16, 64)
TOLERANCES = (1e-2, 1e-4)


def configurations(*, quick: bool) -> dict[str, dict[str, Any]]:
    """Return the solvers to measure: name → fields, without the gradient."""
    grid = {f"rk4, {n} steps": {"method": "rk4", "steps": n} for n in STEPS}
    adaptive = {
        f"dopri5, {tolerance:g}": {"method": "dopri5", "rtol": tolerance}
        for tolerance in TOLERANCES
    }
    if quick:
        return dict(itertools.islice(grid.items(), 2))
    return grid | adaptive


def allocated(run: Callable[[], object], device: torch.device) -> tuple[int, int]:
    """Return the bytes allocated while the result of a call exists, and their peak."""
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities, profile_memory=True) as profiler:
        result = run()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    here = [
        e
        for e in events
        if (e.device_type() == torch.profiler.DeviceType.CPU) == (device.type == "cpu")
    ]
    here.sort(key=lambda event: event.start_ns())
    held = list(itertools.accumulate((event.nbytes() for event in here), initial=0))
    del result
    return held[-1], max(held)


Batch = tuple[nn.Module, Tensor, Tensor]
"""Head, state and labels."""


def measure(block: OdeBlock, batch: Batch, device: torch.device) -> dict[str, Any]:
    """Return the bytes and evaluations of a block."""

    def both() -> None:
        mean_loss(block, *batch).backward()

    both()  # allocates the gradients
    block.statistics.reset()
    both()
    counts = block.statistics
    evaluations = (counts.evaluations_forward, counts.evaluations_backward, counts.vjp_backward)
    kept, _ = allocated(lambda: block(batch[1]), device)
    _, peak = allocated(both, device)
    forward, backward, differentiated = evaluations
    return {
        "kept_bytes": kept,
        "peak_bytes": peak,
        "nfe_forward": forward,
        "nfe_backward": backward,
        "vjp_backward": differentiated,
    }


def seconds(block: OdeBlock, batch: Batch, device: torch.device) -> float:
    """Return the seconds of a forward and a backward pass."""
    start = time.perf_counter()
    mean_loss(block, *batch).backward()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def rows_of(
    name: str,
    fields: dict[str, Any],
    trained: TrainedBlock,
    device: torch.device,
    repetitions: int,
) -> list[dict[str, Any]]:
    """Measure every gradient method with one solver."""
    state, labels = trained.batches[0]
    batch = (trained.head(), state.requires_grad_(), labels)
    blocks = {g: trained.block(solver(fields, g)) for g in get_args(Gradient)}
    rows = {gradient: measure(block, batch, device) for gradient, block in blocks.items()}
    times: dict[str, list[float]] = {gradient: [] for gradient in blocks}
    for _ in range(repetitions):
        for gradient, block in blocks.items():
            times[gradient].append(seconds(block, batch, device))
    for gradient, row in rows.items():
        ratios = [t / b for t, b in zip(times[gradient], times["backprop"], strict=True)]
        row["seconds"] = statistics.median(times[gradient])
        row["time_ratio"] = statistics.median(ratios)
    return [{"solver": name, "gradient": gradient, **row} for gradient, row in rows.items()]


def print_table(rows: list[dict[str, Any]], console: Console) -> None:
    """Print the table."""
    table = Table(box=None, pad_edge=False)
    for heading in ("solver", "gradient"):
        table.add_column(heading, no_wrap=True)
    for heading in ("kept MiB", "peak MiB", "NFE fwd", "bwd", "VJP", "ms", "time"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["solver"],
            row["gradient"],
            f"{row['kept_bytes'] / 2**20:.1f}",
            f"{row['peak_bytes'] / 2**20:.1f}",
            str(row["nfe_forward"]),
            str(row["nfe_backward"]),
            str(row["vjp_backward"]),
            f"{1000 * row['seconds']:.0f}",
            f"{row['time_ratio']:.2f}",
        )
    console.print(table)
    console.print("time: relative to backprop", style="dim")


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__, quick="4 and 16 steps, 2 repetitions")
    parser.add_argument("--data-dir", type=Path, help="directory with MNIST/raw")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    repetitions = 2 if options.quick else options.repetitions
    console = Console()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    folder = data_folder(options.data_dir)
    trained = TrainedBlock(BATCH, folder, device, trained=TRAINED, further=1)
    rows: list[dict[str, Any]] = []
    for name, fields in configurations(quick=options.quick).items():
        with console.status(f"{name} …"):
            rows += rows_of(name, fields, trained, device, repetitions)
    print_table(rows, console)
    finish(console, options.json, "gradient_cost", repetitions, rows)


if __name__ == "__main__":
    main()
