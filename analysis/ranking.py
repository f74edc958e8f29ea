"""What a ranking is: its table, what it was asked, how it is told."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis import metrics
from analysis.params import compact_params

COLUMNS = (
    "rank", "run", "trial_id", "outcome", "device", "val_accuracy", "seconds",
    "accuracy_per_second", "best_accuracy", "anytime", "seconds_to_floor", "pareto",
    "hypervolume_contribution", "train_seconds", "wall_seconds", "isolated_seconds",
    "isolated_error", "epochs", "concurrent_trials", "cpu_share", "clock_excess", "clock",
    "reason", "params",
)  # fmt: skip
"""Of every ranking; between `clock` and `reason` stand `seconds_to_TARGET` and
`accuracy_within_BUDGETs` of the ladders. docs/results-format.md tells what each means."""


@dataclass(frozen=True)
class BudgetPick:
    """The best configuration within a budget."""

    device: str
    budget: float
    """Seconds on the ranking's clock."""
    run: str
    trial_id: str
    accuracy: float
    seconds: float
    """When it reached that accuracy."""


@dataclass(frozen=True)
class Ranking:
    """Trials of one or more runs, in order."""

    table: pd.DataFrame
    """One row a trial, its columns `COLUMNS`; what was not measured is NaN, a target missed
    infinite, `rank` an object column with None for trials without one."""
    by: str
    clock: str
    floor: float
    """Validation accuracy that a trial must reach to be ranked."""
    chance: float
    """Validation accuracy of guessing; of the first run."""
    targets: tuple[float, ...]
    budgets: tuple[float, ...]
    choices: tuple[BudgetPick, ...]
    """The best configuration within each budget, by device; the floor does not count here."""
    hypervolumes: dict[str, float]
    """By device: the share of the plane of (log-seconds, accuracy) that its trials dominate
    together, between the first instant and the budget, accuracy 0 and 1."""
    runs: tuple[str, ...]
    unpriced: int = 0
    """On the isolated clock: measured trials without its seconds, ranked by those of training."""

    @property
    def devices(self) -> tuple[str, ...]:
        """Kinds of device, as ranked."""
        return tuple(self.hypervolumes)

    @property
    def column(self) -> str:
        """Column that it is ranked by."""
        return metrics.measure(self.by).column

    def to_records(self) -> list[dict[str, Any]]:
        """Return one JSON object a trial, in order; what was not measured, or missed, is None."""
        columns = {str(name): _plain(self.table[name]) for name in self.table}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def to_csv(self) -> str:
        """Return the ranking as CSV, a column for each parameter."""
        params = pd.json_normalize(list(self.table["params"]), max_level=0)
        params.index = self.table.index
        return str(self.table.drop(columns="params").join(params).to_csv(index=False))

    def describe(self) -> str:
        """Return in a sentence how it is ranked."""
        sentence = f"By {self.by} on the {self.clock} clock, "
        if self.unpriced:
            many = f"{self.unpriced} trial{'s' * (self.unpriced != 1)}"
            sentence += f"{many} without isolated seconds by those of training, "
        if metrics.measure(self.by).floored:
            sentence += f"from {self.floor:.4f} validation accuracy up"
        else:
            sentence += "of the trials that have it"
        if len(self.devices) > 1:
            sentence += (
                f". Seconds of different devices are not compared: each of "
                f"{', '.join(self.devices)} is ranked for itself"
            )
        return sentence + "."

    def _repr_html_(self) -> str:
        """Return the table as a notebook shows it."""
        shown = ["rank", "run", "trial_id", "outcome", "device", "val_accuracy", "seconds"]
        shown += ["accuracy_per_second", "best_accuracy", "anytime", "pareto"]
        several = {"run": len(self.runs) > 1, "device": len(self.devices) > 1}
        table = self.table[[name for name in shown if several.get(name, True)]].assign(
            parameters=[compact_params(params) for params in self.table["params"]]
        )
        text = table.to_html(
            index=False, max_rows=40, na_rep="–", float_format=lambda value: f"{value:.4g}"
        )
        return f"<p>{html.escape(self.describe())}</p>{text}"


def _plain(column: pd.Series[Any]) -> list[Any]:
    """Return a column as values that JSON has."""
    if column.dtype.kind == "f":
        return [value if math.isfinite(value) else None for value in column.tolist()]
    return [None if value is pd.NA else value for value in column.tolist()]
