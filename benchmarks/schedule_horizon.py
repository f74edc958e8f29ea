"""Compare schedules that end with the budget with schedules that end with the epochs.

    python -m benchmarks.schedule_horizon [--quick] [--dataset digits] [--seeds 3] [--json FILE]

The same network trains with budgets of a tenth, a third and all of the seconds that its epochs
take. Where the schedule ends with the epochs, the budget cuts it off.
"""

from __future__ import annotations

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

SCHEDULES = ("onecycle", "cosine", "step")
SHARES = (0.1, 1 / 3, 1.0)
EPOCHS = 60
BASE = TrialConfig().with_values(
    {
        "training.epochs": EPOCHS, "solver.method": "euler", "solver.steps": 1, "model.width": 48,
        "optimizer.learning_rate": 0.2,
    }
)  # fmt: skip


class Trainings:
    """Trainings on one data set."""

    def __init__(self, dataset: str, train_images: int | None, data_dir: Path | None) -> None:
        self._base = BASE.with_values({"data.dataset": dataset, "data.train_images": train_images})
        self._images = load(self._base.data, data_dir)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def last_report(self, budget: float | None, **values: Any) -> Any:
        """Train with fields set, such as `seed`; return the last report."""
        config = self._base.with_values({n.replace("__", "."): v for n, v in values.items()})
        data = trial_data(self._images, config, self._device)
        reports = training_loop(
            config, data, device=self._device, budget_seconds=budget, report_instants=()
        )
        *_, last = reports
        return last


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__, quick="1 seed, the schedule `onecycle` only")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--train-images", type=int)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    seeds, schedules = (1, SCHEDULES[:1]) if options.quick else (options.seeds, SCHEDULES)
    console = Console()
    torch.set_num_threads(usable_cores().count)
    trainings = Trainings(options.dataset, options.train_images, options.data_dir)
    whole = trainings.last_report(None, seed=0)
    rows = []
    for schedule in schedules:
        for share in SHARES:
            budget = share * whole.train_seconds
            accuracy: dict[str, list[float]] = {"epochs": [], "budget": []}
            for seed in range(seeds):
                for end, horizon in (("epochs", whole.horizon), ("budget", None)):
                    with console.status(f"{schedule}, {budget:.2f} s, seed {seed}, {end} …"):
                        last = trainings.last_report(
                            budget, seed=seed, schedule__name=schedule, training__horizon=horizon
                        )
                    accuracy[end].append(last.val_accuracy)
            rows.append(
                {
                    "schedule": schedule,
                    "share": share,
                    "seconds": budget,
                    "ends_with_epochs": statistics.mean(accuracy["epochs"]),
                    "ends_with_budget": statistics.mean(accuracy["budget"]),
                    "accuracies": [accuracy["epochs"], accuracy["budget"]],
                }
            )
    print_rows(rows, console)
    finish(console, options.json, "schedule_horizon", seeds, rows)


if __name__ == "__main__":
    main()
