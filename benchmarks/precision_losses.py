"""Compare the training loss in fp32 and bf16 on the same seeds and batches.

    python -m benchmarks.precision_losses --data-dir DIR [--epochs 5] [--seeds 3] [--json FILE]

The network of the classic recipe trains on 2,048 real MNIST images per epoch, as in
`benchmarks.epoch_time`. A difference between the precisions is significant only if it exceeds the
differences between seeds, so both are printed.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.harness.results_file import finish, new_parser
from benchmarks.harness.trainings import CASES, Ours, ours
from tune_ode.data import data_folder
from tune_ode.process.limits import usable_cores

PRECISIONS = ("fp32", "bf16")


def train(
    case: str, seeds: int, epochs: int, data_dir: Path, device: torch.device, console: Console
) -> list[dict[str, Any]]:
    """Train every seed in both precisions; return a row for each training."""
    rows = []
    for seed in range(seeds):
        for precision in PRECISIONS:
            config = ours(CASES[case], CASES[case].recommended, seed, precision=precision)
            training = Ours(config, data_dir, device, seed)
            losses = []
            for epoch in range(epochs):
                with console.status(f"{case}, seed {seed}, {precision}: epoch {epoch + 1} …"):
                    losses.append(training.epoch())
            accuracy = training.score()
            rows.append(
                {
                    "case": case,
                    "seed": seed,
                    "precision": precision,
                    "losses": losses,
                    "accuracy": accuracy,
                }
            )
    return rows


def print_losses(rows: list[dict[str, Any]], console: Console) -> None:
    """Print the losses by epoch, and the differences between precisions and between seeds."""
    table = Table(box=None, pad_edge=False)
    table.add_column("seed")
    table.add_column("precision")
    epochs = len(rows[0]["losses"])
    for epoch in range(epochs):
        table.add_column(f"epoch {epoch + 1}", justify="right")
    table.add_column("accuracy", justify="right")
    for row in rows:
        losses = [f"{loss:.4f}" for loss in row["losses"]]
        table.add_row(str(row["seed"]), row["precision"], *losses, f"{row['accuracy']:.4f}")
    console.print(table)
    last = {
        precision: [row["losses"][-1] for row in rows if row["precision"] == precision]
        for precision in PRECISIONS
    }
    differences = [half - full for full, half in zip(last["fp32"], last["bf16"], strict=True)]
    console.print(
        f"last loss, bf16 - fp32 by seed: {', '.join(f'{d:+.4f}' for d in differences)}; "
        f"standard deviation between fp32 seeds {statistics.stdev(last['fp32']):.4f}",
        highlight=False,
        soft_wrap=True,
    )


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__, quick="2 seeds, 1 epoch")
    parser.add_argument(
        "--data-dir", type=Path, help="directory with MNIST/raw; default: TUNE_ODE_DATA"
    )
    parser.add_argument("--case", choices=CASES, default="adjoint euler")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.epochs = 2, 1
    if options.seeds < 2:
        parser.error("--seeds must be at least 2 to compute a standard deviation")
    console = Console()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(usable_cores().count)
    data_dir = data_folder(options.data_dir)
    rows = train(options.case, options.seeds, options.epochs, data_dir, device, console)
    print_losses(rows, console)
    finish(console, options.json, "precision_losses", options.seeds, rows)


if __name__ == "__main__":
    main()
