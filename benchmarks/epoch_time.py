"""Compare the seconds per epoch of the classic recipe and of this package on the same network.

    python -m benchmarks.epoch_time --data-dir DIR [--repetitions 5] [--json FILE]

There are four cases: dopri5 with backprop, and euler, rk4 and dopri5 with the adjoint method. Each
is trained by the reference (`benchmarks/harness/reference.py`), by this package with the same
gradient method, and by this package with the recommended gradient method, each in a separate
process. Adaptive solvers are also trained without carrying the first step from batch to batch, as
in the reference. The epochs are interleaved in a rotating order, so that a drift of the machine
affects all variants alike, and ratios are computed within a repetition. The seconds include data
loading, not evaluation.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.harness.results_file import finish, new_parser
from benchmarks.harness.training_process import TrainingProcess
from benchmarks.harness.trainings import CASES, IMAGES, Case, ours
from tune_ode.config import AdaptiveSolver, TrialConfig
from tune_ode.data import data_folder, load
from tune_ode.errors import TuneOdeError

EXECUTIONS: dict[str, dict[str, Any]] = {
    "fp32": {"precision": "fp32"},
    "bf16": {"precision": "bf16"},
    "contiguous": {"memory_format": "contiguous"},
    "channels_last": {"memory_format": "channels_last"},
    "compiled": {"compile": True},
}
"""Name in the table → fields of `execution`; `--execution` runs all of them."""


def variants(case: Case, executions: list[str]) -> dict[str, TrialConfig | None]:
    """Return the variants of a case: name → our configuration, None for the reference."""
    found: dict[str, TrialConfig | None] = {"reference": None}
    for execution in executions:
        for gradient in dict.fromkeys((case.gradient, case.recommended)):
            config = ours(case, gradient, **EXECUTIONS[execution])
            found[f"{gradient}, {execution}"] = config
            if isinstance(config.solver, AdaptiveSolver) and gradient == case.gradient:
                uncarried = config.with_values({"solver.carry_step": False})
                found[f"{gradient}, {execution}, no carry"] = uncarried
    return found


def compare(
    trainings: dict[str, TrainingProcess], repetitions: int, console: Console
) -> dict[str, list[float]]:
    """Train interleaved epochs; return the seconds of each epoch by variant."""
    for training in trainings.values():
        training.epoch(4)  # allocation, worker processes, autotuning
    seconds: dict[str, list[float]] = {name: [] for name in trainings}
    order = list(trainings)
    for repetition in range(repetitions):
        turn = repetition % len(order)
        for name in order[turn:] + order[:turn]:
            seconds[name].append(trainings[name].epoch())
            console.print(
                f"  {repetition + 1}/{repetitions} {name}: {seconds[name][-1]:.2f} s",
                style="dim",
                highlight=False,
            )
    return seconds


def fastest_precision(data_dir: Path, device: torch.device, console: Console) -> str:
    """Return the fastest precision on this device, measured over a few steps."""
    case = CASES["adjoint euler"]
    seconds = {}
    for precision in ("fp32", "bf16"):
        config = ours(case, "backprop", precision=precision)
        training = TrainingProcess(case, config, data_dir, device)
        training.epoch(1)
        seconds[precision] = training.epoch(2)
        training.close()
    ratio = seconds["bf16"] / seconds["fp32"]
    console.print(f"bf16 takes {ratio:.2f} times the seconds of fp32 here", highlight=False)
    return min(seconds, key=lambda name: seconds[name])


def rows_of(
    name: str, seconds: dict[str, list[float]], trainings: dict[str, TrainingProcess]
) -> list[dict[str, Any]]:
    """Return the rows of a case."""
    rows = []
    for variant, measured in seconds.items():
        ratios = [r / s for r, s in zip(seconds["reference"], measured, strict=True)]
        rows.append(
            {
                "case": name,
                "variant": variant,
                "seconds_per_epoch": statistics.median(measured),
                "ratio": statistics.median(ratios),
                "ratio_lowest": min(ratios),
                "ratio_highest": max(ratios),
                **trainings[variant].figures(),
                "seconds": measured,
            }
        )
    return rows


def print_case(rows: list[dict[str, Any]], console: Console) -> None:
    """Print the table of a case."""
    table = Table(box=None, pad_edge=False)
    table.add_column("variant", no_wrap=True)
    for heading in ("s/epoch", "times faster", "NFE f/b", "accuracy", "warm-up", "memory"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["variant"],
            f"{row['seconds_per_epoch']:.2f}",
            f"{row['ratio']:.2f} ({row['ratio_lowest']:.2f}-{row['ratio_highest']:.2f})",
            f"{row['nfe_forward']:.1f}/{row['nfe_backward']:.1f}",
            f"{row['accuracy']:.4f}",
            "-" if row["warm_up_seconds"] is None else f"{row['warm_up_seconds']:.1f} s",
            f"{row['peak_memory_bytes'] / 2**20:.0f} MiB",
        )
    console.print(table)


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__, quick="euler only, 2 repetitions")
    parser.add_argument(
        "--data-dir", type=Path, help="directory with MNIST/raw; default: TUNE_ODE_DATA"
    )
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument(
        "--execution",
        action="store_true",
        help="add every precision, memory format, and compilation",
    )
    parser.add_argument(
        "--profile", action="store_true", help="print the time of each part of a step"
    )
    options = parser.parse_args()
    if options.quick:
        options.repetitions, options.cases = 2, ["adjoint euler"]
    console = Console()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data_dir = data_folder(options.data_dir)
    try:
        load(ours(CASES["adjoint euler"], "backprop").data, data_dir)
    except TuneOdeError as error:
        parser.error(str(error))
    if options.execution:
        executions = list(EXECUTIONS)
    else:
        executions = list(dict.fromkeys(["fp32", fastest_precision(data_dir, device, console)]))
    rows: list[dict[str, Any]] = []
    for name in options.cases:
        case = CASES[name]
        console.print(f"{name}, {IMAGES} images per epoch", style="bold", highlight=False)
        trainings = {
            variant: TrainingProcess(case, config, data_dir, device)
            for variant, config in variants(case, executions).items()
        }
        seconds = compare(trainings, options.repetitions, console)
        found = rows_of(name, seconds, trainings)
        print_case(found, console)
        rows += found
        for variant, training in trainings.items():
            if options.profile:
                training.print_profile(f"{name}: {variant}")
            training.close()
    finish(console, options.json, "epoch_time", options.repetitions, rows)


if __name__ == "__main__":
    main()
