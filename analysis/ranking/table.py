"""The result of `rank`: a table, the options it was made with, and its text forms."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.params import format_param, headings, varied_params, without_branch
from analysis.ranking import metrics
from analysis.spreadsheet import to_csv
from tune_ode.text import pluralize

COLUMNS = (
    "rank", "run", "trial_id", "outcome", "device", "val_accuracy", "accuracy_low",
    "accuracy_high", "seconds", "accuracy_per_second", "rate_low", "rate_high", "tied",
    "best_accuracy", "anytime", "seconds_to_floor", "pareto", "hypervolume_contribution",
    "train_seconds", "wall_seconds", "isolated_seconds", "isolated_error", "epochs",
    "concurrent_trials", "cpu_share", "clock_excess", "clock", "reason", "params",
)  # fmt: skip
"""Columns of every ranking; `seconds_to_TARGET` and `accuracy_within_BUDGETs` stand between `clock`
and `reason`. docs/reference/results-format.md defines each."""


@dataclass(frozen=True)
class BudgetPick:
    """The most accurate trial within a budget."""

    device: str
    budget: float
    """Seconds on the ranking's clock."""
    run: str
    trial_id: str
    accuracy: float
    seconds: float
    """Seconds at which it reached that accuracy."""


@dataclass(frozen=True)
class Ranking:
    """Ranked trials of one or more runs."""

    table: pd.DataFrame
    """One row per trial with the columns `COLUMNS`. A value that was not measured is NaN, a missed
    target infinite; `rank` has dtype object, with None for unranked trials."""
    by: str
    clock: str
    floor: float
    """Validation accuracy that a ranked trial must reach."""
    chance: float
    """Validation accuracy of the most frequent class, in the first run."""
    targets: tuple[float, ...]
    budgets: tuple[float, ...]
    budget_picks: tuple[BudgetPick, ...]
    """The most accurate trial within each budget, by device; the floor does not apply."""
    hypervolumes: dict[str, float]
    """By device: the share of the (log-seconds, accuracy) plane, from the first instant to the
    budget and accuracy 0 to 1, that its trials dominate together."""
    runs: tuple[str, ...]
    folders: tuple[str, ...]
    """Run directory or URL of each run."""
    is_default: bool = False
    """Whether it is the ranking that `confirm` uses: of one run, with default options."""
    unmeasurable: bool = False
    """Whether isolated seconds were asked for, but no slowdown exceeded its measurement error."""
    without_isolated: int = 0
    """On the isolated clock: measured trials ranked by training seconds, lacking isolated ones."""

    @property
    def devices(self) -> tuple[str, ...]:
        """Device types, in ranking order."""
        return tuple(self.hypervolumes)

    @property
    def shows_ties(self) -> bool:
        """Whether trials tied by accuracy per second are tied in this ranking."""
        return self.by == "accuracy_per_second"

    @property
    def column(self) -> str:
        """The column ranked by."""
        return metrics.metric(self.by).column

    def trial_name(self, row: Mapping[Any, Any]) -> str:
        """Return the name of a row's trial, with its run if several are ranked."""
        return f"{row['run']}:{row['trial_id']}" if len(self.runs) > 1 else str(row["trial_id"])

    def to_records(self) -> list[dict[str, Any]]:
        """Return one JSON object per trial, in order; None where not measured or not reached."""
        return _records(self.table)

    def first_rows(self) -> list[dict[str, Any]]:
        """Return the first trial of each device with ranked trials, in order, as `to_records`."""
        return _records(self.table[self.table["rank"] == 1])

    def to_csv(self) -> str:
        """Return the ranking as CSV, with one column per parameter."""
        params = pd.json_normalize(list(self.table["params"]), max_level=0)
        params.index = self.table.index
        return to_csv(self.table.drop(columns="params").join(params))

    def describe(self) -> str:
        """Return the ranking criterion as a sentence."""
        sentence = f"By {self.by} on the {self.clock} clock, "
        if self.without_isolated:
            trials = pluralize(self.without_isolated, "trial")
            sentence += f"{trials} without isolated seconds by training seconds, "
        if self.unmeasurable:
            sentence += "since concurrent trials did not measurably slow each other down, "
        if metrics.metric(self.by).floored:
            sentence += f"accuracy at least {self.floor:.4f}"
        else:
            sentence += "trials that have a value"
        if len(self.devices) > 1:
            sentence += (
                f". Seconds on different devices are not comparable: {', '.join(self.devices)} are "
                "ranked separately"
            )
        return sentence + "."

    def _repr_html_(self) -> str:
        """Return the table as HTML for notebooks."""
        shown = ["rank", "run", "trial_id", "outcome", "device", "val_accuracy", "seconds"]
        shown += ["accuracy_per_second", "rate_low", "rate_high", "tied", "best_accuracy"]
        shown += ["anytime", "pareto"]
        several = {"run": len(self.runs) > 1, "device": len(self.devices) > 1}
        params = [without_branch(params) for params in self.table["params"]]
        # as in the terminal: those that differ
        varied = headings(varied_params(params))
        table = self.table[[name for name in shown if several.get(name, True)]].assign(
            **{
                heading: [format_param(trial[name]) if name in trial else "–" for trial in params]
                for name, heading in varied.items()
            }
        )
        text = table.to_html(
            index=False, max_rows=40, na_rep="–", float_format=lambda value: f"{value:.4g}"
        )
        return f"<p>{html.escape(self.describe())}</p>{text}"


def margin(row: Mapping[str, Any], of: str = "rate") -> float | None:
    """Return half the width of the 95 % interval of a row's `rate` or `accuracy`, for display."""
    low, high = row[f"{of}_low"], row[f"{of}_high"]
    return None if low is None or high is None else (high - low) / 2


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    columns = {str(name): _json_values(table[name]) for name in table}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _json_values(column: pd.Series[Any]) -> list[Any]:
    """Return a column as JSON values."""
    if column.dtype.kind == "f":
        return [value if math.isfinite(value) else None for value in column.tolist()]
    return [None if value is pd.NA else value for value in column.tolist()]
