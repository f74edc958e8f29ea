"""Rank trials by accuracy per second of training, or by another metric.

Seconds are comparable within one device type only, so each device type is ranked separately; the
one with the most measured trials comes first. Order within a type: the chosen metric, best first;
ties by higher accuracy, then fewer seconds, then run and trial id. Unranked trials, which never
reach the floor, follow by accuracy; trials without any measurement come last, by id.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis import curves
from analysis.load import Run
from analysis.ranking import metrics
from analysis.ranking.metrics import Metric
from analysis.ranking.points import CLOCKS, SECONDS, concatenate, has_isolated_seconds, run_names
from analysis.ranking.table import COLUMNS, BudgetPick, Ranking
from analysis.ranking.uncertainty import shrink, tied
from analysis.rate import accuracy_per_second
from analysis.statistics import wilson_interval
from tune_ode.errors import UsageError, suggest_name

FLOOR_UNDER_BEST = 0.05
"""The default floor is the best validation accuracy of all trials minus this."""
NAN = math.nan
_POINT_COLUMNS = ("trial", "seconds", "accuracy", *SECONDS, "epoch", "val_images", "sampled")
_VALUES = (
    "val_accuracy", "accuracy_low", "accuracy_high", "seconds", "accuracy_per_second", "rate_error",
    "best_accuracy", "anytime", "seconds_to_floor", *SECONDS, "epochs",
)  # fmt: skip

Array = npt.NDArray[np.float64]
Thresholds = tuple[tuple[float, ...], tuple[float, ...]]
"""Target accuracies, and budgets in seconds."""


def rank(
    runs: Run | Sequence[Run],
    *,
    by: str = "accuracy_per_second",
    floor: float | None = None,
    clock: str = "isolated",
    targets: Iterable[float] | None = None,
    budgets: Iterable[float] | None = None,
) -> Ranking:
    """Rank the trials of one or more runs on the same data.

    Args:
        runs: as loaded.
        by: a name in `metrics.METRICS`, `seconds@TARGET` or `accuracy@BUDGET`.
        floor: lowest validation accuracy that is ranked; None: 0.05 below the best.
        clock: a name in `points.CLOCKS`; `isolated` means `train` where no trial has isolated
            seconds.
        targets: accuracies for the `seconds_to_…` columns; None: the highest defaults reached.
        budgets: seconds for the `accuracy_within_…` columns; None: defaults in the measured range.

    Raises:
        UsageError: unknown metric or clock, or runs that cannot be compared.
    """
    is_default = (by, floor, clock) == ("accuracy_per_second", None, "isolated")
    runs = [runs] if isinstance(runs, Run) else list(runs)
    metric = metrics.metric(by)
    if clock not in CLOCKS:
        raise UsageError(suggest_name("clock", clock, CLOCKS))
    unmeasurable = False
    if clock == "isolated" and not any(has_isolated_seconds(run.reports).any() for run in runs):
        clock, unmeasurable = "train", all(run.manifest.contention for run in runs)
    names = run_names(runs)
    trials, points = concatenate(runs, names, clock)
    if floor is None:
        best = _best(points["accuracy"].to_numpy(), points["sampled"].to_numpy())
        floor = max(best - FLOOR_UNDER_BEST, 0.0)
    thresholds = _thresholds(points, targets, budgets, metric)
    budget = max(run.budget for run in runs)
    table, picks, hypervolumes = _evaluate(trials, points, floor, thresholds, budget)
    table = _mark_ties(_sort(table, metric, list(hypervolumes)))
    lacking = table["best_accuracy"].notna() & table["isolated_seconds"].isna()
    return Ranking(
        table[_columns(*thresholds)], by=by, clock=clock, floor=floor,
        chance=runs[0].manifest.chance, targets=thresholds[0], budgets=thresholds[1],
        unmeasurable=unmeasurable, budget_picks=picks, hypervolumes=hypervolumes, runs=tuple(names),
        folders=tuple(str(run.folder) for run in runs), is_default=is_default and len(runs) == 1,
        without_isolated=int(lacking.sum()) if clock == "isolated" else 0,
    )  # fmt: skip


def _thresholds(
    points: pd.DataFrame,
    targets: Iterable[float] | None,
    budgets: Iterable[float] | None,
    by: Metric,
) -> Thresholds:
    if targets is None:
        targets = metrics.default_targets(float(points["accuracy"].max()) if len(points) else 0.0)
    if budgets is None:
        seconds = points["seconds"]
        measured = len(points) > 0
        budgets = metrics.default_budgets(seconds.min(), seconds.max()) if measured else ()
    return metrics.with_threshold(targets, by.target), metrics.with_threshold(budgets, by.budget)


def _columns(targets: Sequence[float], budgets: Sequence[float]) -> list[str]:
    extra = [*map(metrics.seconds_to, targets), *map(metrics.accuracy_within, budgets)]
    return [*COLUMNS[:-2], *extra, *COLUMNS[-2:]]


def _evaluate(
    trials: pd.DataFrame, points: pd.DataFrame, floor: float, thresholds: Thresholds, budget: float
) -> tuple[pd.DataFrame, tuple[BudgetPick, ...], dict[str, float]]:
    """Return the table in the order of trials, the best trial per budget, and hypervolumes."""
    arrays = {name: points[name].to_numpy() for name in _POINT_COLUMNS}
    bounds = np.searchsorted(arrays["trial"], np.arange(len(trials) + 1))
    chances, images = trials["chance"].to_numpy(), trials["validation_images"].to_numpy()
    rows = [
        _row(
            {name: values[start:end] for name, values in arrays.items()},
            chances[index], images[index], floor, thresholds, budget,
        )
        for index, (start, end) in enumerate(pairwise(bounds))
    ]  # fmt: skip
    names = [*_VALUES, *_columns(*thresholds)[len(COLUMNS) - 2 : -2]]
    table = trials.join(pd.DataFrame(rows, columns=names, index=trials.index, dtype=float))
    table["pareto"], table["hypervolume_contribution"] = False, NAN
    table["rate_low"], table["rate_high"] = NAN, NAN
    devices = table["device"].to_numpy()[arrays["trial"]]
    hypervolumes: dict[str, float] = {}
    picks: list[BudgetPick] = []
    for device in _devices_by_size(table):
        _shrink_rates(table, device)
        here = devices == device
        seconds, accuracy = arrays["seconds"][here], arrays["accuracy"][here]
        owners = arrays["trial"][here]
        front = curves.pareto_front(seconds, accuracy)
        table.loc[np.unique(owners[front]), "pareto"] = True
        first = curves.first_instant(budget)
        hypervolumes[device], shares = curves.hypervolume(
            seconds, accuracy, owners, first=first, budget=budget
        )
        table.loc[np.unique(owners), "hypervolume_contribution"] = 0.0
        for trial, share in shares.items():
            table.loc[trial, "hypervolume_contribution"] = share
        for within in thresholds[1]:
            picks += _budget_pick(table, device, within, seconds, accuracy, owners)
    return table, tuple(picks), hypervolumes


def _row(
    curve: dict[str, Any],
    chance: float,
    images: int | None,
    floor: float,
    thresholds: Thresholds,
    budget: float,
) -> tuple[float, ...]:
    seconds, accuracy = curve["seconds"], curve["accuracy"]
    if not len(seconds):
        return (NAN,) * (len(_VALUES) + sum(map(len, thresholds)))
    rate = accuracy_per_second(
        seconds, accuracy, chance=chance, floor=floor, images=images, sampled=curve["val_images"]
    )
    shown = int(accuracy.argmax())
    if rate is not None:  # the first report that shows it, or else the best one
        reached = (accuracy >= floor) & (seconds >= rate.seconds - 1e-9)
        shown = int(reached.argmax()) if reached.any() else shown
    first = curves.first_instant(budget)
    within = [curves.best_within(seconds, accuracy, limit) for limit in thresholds[1]]
    measured_on = curve["val_images"][shown]  # NaN for all of them
    measured_on = images if math.isnan(measured_on) else int(measured_on)
    return (
        accuracy[shown],
        *(wilson_interval(accuracy[shown], measured_on) if measured_on else (NAN, NAN)),
        seconds[shown],
        NAN if rate is None else rate.value,
        NAN if rate is None else rate.error,
        _best(accuracy, curve["sampled"]),
        curves.anytime_area(seconds, accuracy, first=first, budget=budget),
        curves.seconds_to(seconds, accuracy, floor),
        *(curve[column][shown] for column in SECONDS),
        curve["epoch"].max(),
        *(curves.seconds_to(seconds, accuracy, target) for target in thresholds[0]),
        *(NAN if best is None else best for best in within),
    )


def _best(accuracy: Array, sampled: npt.NDArray[np.bool_]) -> float:
    """Return the best accuracy on all images, or on a sample if there is no other; 0 if none."""
    return float(accuracy[~sampled | sampled.all()].max(initial=0.0))


def _shrink_rates(table: pd.DataFrame, device: str) -> None:
    """Replace the measured rates of a device by shrunk ones, with intervals."""
    rated = table[(table["device"] == device) & (table["accuracy_per_second"] > 0)]
    clock = (rated["isolated_error"] / rated["isolated_seconds"]).fillna(0.0).to_numpy()
    errors = np.hypot(rated["rate_error"].to_numpy(), clock)
    rates, low, high = shrink(rated["accuracy_per_second"].to_numpy(), errors)
    names = ["accuracy_per_second", "rate_low", "rate_high"]
    table.loc[rated.index, names] = np.column_stack([rates, low, high])


def _mark_ties(table: pd.DataFrame) -> pd.DataFrame:
    """Return sorted rows with `tied`; of equal rates, the first row has the highest."""
    table["tied"] = False
    for _, rated in table[table["rate_low"].notna()].groupby("device"):
        ties = tied(rated["accuracy_per_second"].to_numpy(), rated["rate_low"].to_numpy())
        table.loc[rated.index, "tied"] = ties
    return table


def _devices_by_size(table: pd.DataFrame) -> list[str]:
    """Return device types, most measured trials first, then by name."""
    sizes = table.loc[table["best_accuracy"].notna(), "device"].value_counts()
    return sorted(sizes.index, key=lambda device: (-sizes[device], device))


def _budget_pick(
    table: pd.DataFrame,
    device: str,
    budget: float,
    seconds: Array,
    accuracy: Array,
    owners: npt.NDArray[np.int_],
) -> list[BudgetPick]:
    within = np.flatnonzero(seconds <= budget)
    if not len(within):
        return []
    # highest accuracy, then earliest, then lowest trial
    order = np.lexsort((owners[within], seconds[within], -accuracy[within]))
    best = within[order[0]]
    trial = table.loc[owners[best]]
    return [
        BudgetPick(
            device=device, budget=budget, run=trial["run"], trial_id=trial["trial_id"],
            accuracy=float(accuracy[best]), seconds=float(seconds[best]),
        )
    ]  # fmt: skip


def _sort(table: pd.DataFrame, by: Metric, devices: list[str]) -> pd.DataFrame:
    """Return the rows in ranking order, with the column `rank`."""
    value = table[by.column].astype(float).replace(math.inf, NAN).round(12)
    ranked = value.notna() & (table["accuracy_per_second"].notna() | (not by.floored))
    keys = pd.DataFrame(
        {
            "device": table["device"].map({name: index for index, name in enumerate(devices)}),
            "unranked": ~ranked,
            "value": (value if by.ascending else -value).where(ranked, 0.0),
            "accuracy": -table["best_accuracy"],
            "seconds": table["seconds"],
            "run": table["run"],
            "digits": table["trial_id"].str.len(),  # 10000 after 9999
            "trial_id": table["trial_id"],
        }
    )
    keys.loc[table["best_accuracy"].isna(), ["device", "unranked"]] = [len(devices), True]
    order = keys.sort_values(list(keys.columns), kind="stable").index
    table = table.loc[order].reset_index(drop=True)
    ranked = ranked.loc[order].reset_index(drop=True)
    places = ranked.groupby(table["device"]).cumsum()
    # dtype object: integers with gaps would become floats
    table["rank"] = places.astype(object).where(ranked, None)
    return table
