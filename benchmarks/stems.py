"""Compare stems by the validation accuracy that they reach in equal seconds of training.

    python -m benchmarks.stems --data-dir DIRECTORY [--quick] [--dataset NAME] [--json FILE]

One network (two Euler steps through one convolution, 64 channels; muon, one-cycle schedule that
ends with the budget) trains with each stem in turn, with the same seeds: on MNIST, and on the image
folders `cifar10` and `gtsrb` of the directory, if they are there.
"""

from __future__ import annotations

import itertools
import statistics
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.harness.results_file import finish, new_parser, print_rows
from tune_ode.config import TrialConfig
from tune_ode.data import load, trial_data
from tune_ode.process.limits import usable_cores
from tune_ode.training import training_loop

SHARES = (0.1, 1 / 3, 1.0)
"""Parts of the budget after which accuracies are compared."""
BASE = TrialConfig().with_values(
    {
        "solver.method": "euler", "solver.steps": 2, "model.ode.convolutions": 1,
        "optimizer.name": "muon", "optimizer.learning_rate": 0.03,
        "optimizer.adamw_learning_rate": 0.005, "schedule.name": "onecycle",
        "training.batch_size": 64, "training.epochs": 1000,
    }
)  # fmt: skip
STEMS: dict[str, dict[str, Any]] = {
    "conv": {},
    "conv, 32 channels": {"width": 32},
    "conv, 16 channels": {"width": 16},
    "res": {"kind": "res"},
    "pool": {"kind": "pool"},
    "pool, 32 channels": {"kind": "pool", "width": 32},
    "patch": {"kind": "patch"},
    "patch and a 3×3 convolution": {"kind": "patch", "extra_layers": 1},
    "patch 2×2": {"kind": "patch", "stages": 1},
}
DATA: dict[str, dict[str, Any]] = {
    "mnist": {"dataset": "mnist", "train_images": 6_000},
    "cifar10": {"train_images": 10_000, "augmentation.flip": True},
    "gtsrb": {"train_images": 10_000, "groups": r"(\d+)_"},
}


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__, quick="1 seed of 5 s")
    parser.add_argument("--dataset", choices=DATA, action="append", help="default: all")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=20.0, help="training of each")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    seeds, budget = (1, 5.0) if options.quick else (options.seeds, options.seconds)
    console = Console()
    torch.set_num_threads(usable_cores().count)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = []
    for dataset in options.dataset or DATA:
        folder = f"folder:{options.data_dir.resolve() / dataset}"
        values = {f"data.{name}": value for name, value in DATA[dataset].items()}
        base = BASE.with_values({"data.dataset": folder, **values})
        images = load(base.data, options.data_dir)
        found: dict[str, list[list[Any]]] = {stem: [] for stem in STEMS}
        for seed, (stem, fields) in itertools.product(range(seeds), STEMS.items()):
            fixed = {f"model.stem.{name}": value for name, value in fields.items()}
            config = base.with_values({**fixed, "seed": seed})
            with console.status(f"{dataset}, seed {seed}, {stem} …"):
                loop = training_loop(
                    config,
                    trial_data(images, config, device),
                    device=device,
                    budget_seconds=budget,
                    report_instants=tuple(share * budget for share in SHARES),
                )
                found[stem].append(list(loop)[-len(SHARES) :])
        rows += [_row(dataset, stem, reports, budget) for stem, reports in found.items()]
    print_rows(rows, console)
    finish(console, options.json, "stems", seeds, rows)


def _row(dataset: str, stem: str, trainings: list[list[Any]], budget: float) -> dict[str, Any]:
    steps = [reports[-1].train_seconds / reports[-1].batches for reports in trainings]
    row = {"data": dataset, "stem": stem, "ms_per_step": 1000 * statistics.median(steps)}
    for share, reports in zip(SHARES, zip(*trainings, strict=True), strict=True):
        accuracies = [report.val_accuracy for report in reports]
        low, high = min(accuracies), max(accuracies)
        mean = statistics.mean(accuracies)
        row[f"after {share * budget:.3g} s"] = f"{mean:.3f} ({low:.3f} to {high:.3f})"
    return row


if __name__ == "__main__":
    main()
