"""Measure memory, evaluations and time of each gradient method by number of steps.

    python -m benchmarks.gradient_cost [--quick] [--repetitions 3] [--json FILE]

The benchmark runs the forward and backward pass of one ODE block of the classic recipe, with 64
channels of 6×6 and a batch of 32. Bytes come from the events of torch's allocator, relative to the
initial value: those that the forward pass keeps for the backward pass, and the peak over both.
Seconds are medians of interleaved runs; ratios are computed within a repetition.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any, get_args

import torch
from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.harness.results_file import finish, new_parser
from tune_ode.classifier.ode_block import OdeBlock
from tune_ode.config import OdeConfig, SolverConfig
from tune_ode.config.solver import Gradient

BATCH, CHANNELS, SIDE = 32, 64, 6
STEPS = (4, 16, 64)
TOLERANCES = (1e-2, 1e-4)


def configurations(*, quick: bool) -> dict[str, dict[str, Any]]:
    """Return the solvers to measure: name → fields, without the gradient."""
    grid = {f"rk4, {n} steps": {"method": "rk4", "steps": n} for n in STEPS}
    adaptive = {
        f"dopri5, {tolerance:g}": {"method": "dopri5", "rtol": tolerance, "atol": tolerance}
        for tolerance in TOLERANCES
    }
    if quick:
        return dict(itertools.islice(grid.items(), 2))
    return grid | adaptive


def solver(fields: dict[str, Any], gradient: str) -> SolverConfig:
    """Return a solver's configuration."""
    return TypeAdapter(SolverConfig).validate_python({**fields, "gradient": gradient})


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


def measure(block: OdeBlock, state: Tensor, device: torch.device) -> dict[str, Any]:
    """Return the bytes and evaluations of a block."""

    def both() -> None:
        block(state).sum().backward()

    both()  # allocates the gradients
    block.statistics.reset()
    both()
    counts = block.statistics
    evaluations = (counts.evaluations_forward, counts.evaluations_backward, counts.vjp_backward)
    kept, _ = allocated(lambda: block(state), device)
    _, peak = allocated(both, device)
    forward, backward, differentiated = evaluations
    return {
        "kept_bytes": kept,
        "peak_bytes": peak,
        "nfe_forward": forward,
        "nfe_backward": backward,
        "vjp_backward": differentiated,
    }


def seconds(block: OdeBlock, state: Tensor, device: torch.device) -> float:
    """Return the seconds of a forward and a backward pass."""
    start = time.perf_counter()
    block(state).sum().backward()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def rows_of(
    name: str, fields: dict[str, Any], device: torch.device, repetitions: int
) -> list[dict[str, Any]]:
    """Measure every gradient method with one solver."""
    torch.manual_seed(0)
    state = torch.randn(BATCH, CHANNELS, SIDE, SIDE, device=device, requires_grad=True)
    first = OdeBlock(CHANNELS, OdeConfig(), solver(fields, "backprop"))
    blocks = {}
    for gradient in get_args(Gradient):
        blocks[gradient] = OdeBlock(CHANNELS, OdeConfig(), solver(fields, gradient)).to(device)
        blocks[gradient].load_state_dict(first.state_dict())
    rows = {gradient: measure(block, state, device) for gradient, block in blocks.items()}
    times: dict[str, list[float]] = {gradient: [] for gradient in blocks}
    for _ in range(repetitions):
        for gradient, block in blocks.items():
            times[gradient].append(seconds(block, state, device))
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
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    repetitions = 2 if options.quick else options.repetitions
    console = Console()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows: list[dict[str, Any]] = []
    for name, fields in configurations(quick=options.quick).items():
        with console.status(f"{name} …"):
            rows += rows_of(name, fields, device, repetitions)
    print_table(rows, console)
    finish(console, options.json, "gradient_cost", repetitions, rows)


if __name__ == "__main__":
    main()
