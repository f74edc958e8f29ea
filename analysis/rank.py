"""The ranking: which trial bought the most accuracy per second of training.

Seconds are compared within one kind of device only, so each kind is ranked for itself: the one
with the most measured trials first. Within a kind, stated order: by the measure asked for, best
first; ties by higher accuracy, then fewer seconds, then run and trial id. Trials without a rank,
since they never reach the floor, follow by accuracy; trials in which nothing was measured come
last, by id.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis import curves, metrics
from analysis.clock import check_clocks
from analysis.load import Run
from analysis.metrics import Measure
from analysis.ranking import COLUMNS, BudgetPick, Ranking
from tune_ode.errors import UsageError, suggest_name

FLOOR_UNDER_BEST = 0.05
"""Default floor: this much under the best validation accuracy of all trials."""
CLOCKS = {"isolated": "isolated_seconds", "train": "train_seconds", "wall": "wall_seconds"}
"""Name of a clock → its column of the report lines. `isolated` is `train` for trials whose lines
lack its seconds: nobody measured what sharing cost them, most often as they were alone."""
NAN = math.nan

Array = npt.NDArray[np.float64]


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
        by: a name of `measures.MEASURES`, `seconds@TARGET` or `accuracy@BUDGET`.
        floor: least validation accuracy to be ranked; None: 0.05 under the best.
        clock: a name of `CLOCKS`; `isolated` is `train` where no trial has isolated seconds.
        targets: accuracies to which the seconds are told; None: the highest usual ones reached.
        budgets: seconds within which the accuracy is told; None: usual ones in the measured range.

    Raises:
        QuestionError: an unknown measure or clock, or runs that cannot be compared.
    """
    runs = [runs] if isinstance(runs, Run) else list(runs)
    wanted = metrics.measure(by)
    if clock not in CLOCKS:
        raise UsageError(suggest_name("clock", clock, CLOCKS))
    if clock == "isolated" and not any(_isolated(run.lines).any() for run in runs):
        clock = "train"
    names = _names(runs)
    trials, points = _joined(runs, names, clock)
    if floor is None:
        best = float(points["accuracy"].max()) if len(points) else 0.0
        floor = max(best - FLOOR_UNDER_BEST, 0.0)
    ladders = _ladders(points, targets, budgets, wanted)
    table, choices, hypervolumes = _measure_all(trials, points, floor, ladders, _budget(runs))
    table = _in_order(table, wanted, list(hypervolumes))
    unpriced = table["best_accuracy"].notna() & table["isolated_seconds"].isna()
    return Ranking(
        table[_columns(*ladders)], by=by, clock=clock, floor=floor, chance=runs[0].manifest.chance,
        targets=ladders[0], budgets=ladders[1], choices=choices, hypervolumes=hypervolumes,
        runs=tuple(names), unpriced=int(unpriced.sum()) if clock == "isolated" else 0,
    )  # fmt: skip


def measured(run: Run, clock: str) -> pd.DataFrame:
    """Return the points of every trial's curve, by trial and time.

    Args:
        run: as loaded.
        clock: a name of `CLOCKS`.

    Returns:
        `trial` (row of `run.trials`), `trial_id, seconds` (on that clock, above 0), `accuracy` (on
        the validation split), `train_seconds, wall_seconds, isolated_seconds, isolated_error,
        epoch`; reports that measured no accuracy are left out.
    """
    lines = run.lines
    seconds, accuracy = lines[CLOCKS[clock]], lines["val_accuracy"]
    isolated = _isolated(lines)
    if clock == "isolated":
        seconds = seconds.where(isolated, lines["train_seconds"])
    points = lines[["trial", "trial_id", *_SECONDS, "epoch"]].assign(
        seconds=seconds, accuracy=accuracy
    )
    points.loc[~isolated, ["isolated_seconds", "isolated_error"]] = NAN
    points = points[(accuracy.notna() & (seconds > 0)).to_numpy()]
    return points.sort_values(["trial", "seconds", "epoch"], ignore_index=True)


def _isolated(lines: pd.DataFrame) -> pd.Series[bool]:
    """Return which lines are of trials with isolated seconds throughout: a curve has one clock."""
    return lines["isolated_seconds"].notna().groupby(lines["trial"]).transform("all").astype(bool)


def _names(runs: Sequence[Run]) -> list[str]:
    """Return a name for each run: its own, or, where two share one, its folder."""
    if not runs:
        raise UsageError("a ranking needs at least one run")
    data = {str(run.manifest.options.get("dataset")) for run in runs}
    if len(data) > 1:
        raise UsageError(
            f"runs are ranked together where they share their data; found {', '.join(sorted(data))}"
        )
    folders = [run.folder.resolve() for run in runs]
    if len(runs) > 1 and len(set(folders)) < len(runs):
        raise UsageError("a run is named twice; name each once")
    names = [run.manifest.name for run in runs]
    if len(set(names)) < len(names):
        names = [str(run.folder) for run in runs]
    return names


def _budget(runs: Sequence[Run]) -> float:
    return max(run.budget for run in runs)


def _joined(
    runs: Sequence[Run], names: Sequence[str], clock: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return trials, with what is known of their clocks, and points, as if of one run."""
    trials, points, offset = [], [], 0
    for run, name in zip(runs, names, strict=True):
        checks = check_clocks(run.lines, len(run.trials))
        if len(runs) > 1:  # processors are told apart where several machines can be meant
            processor = run.manifest.hardware.get("processor")
            checks["device"] = checks["device"].replace("cpu", f"cpu ({processor})")
        trials.append(
            run.trials[["trial_id", "outcome", "reason", "params"]]
            .assign(run=name, chance=run.manifest.chance)
            .join(checks)
        )
        curve = measured(run, clock)
        points.append(curve.assign(trial=curve["trial"] + offset))
        offset += len(run.trials)
    return pd.concat(trials, ignore_index=True), pd.concat(points, ignore_index=True)


def _ladders(
    points: pd.DataFrame,
    targets: Iterable[float] | None,
    budgets: Iterable[float] | None,
    by: Measure,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if targets is None:
        targets = metrics.usual_targets(float(points["accuracy"].max()) if len(points) else 0.0)
    if budgets is None:
        seconds = points["seconds"]
        budgets = (
            metrics.usual_budgets(float(seconds.min()), float(seconds.max())) if len(points) else ()
        )
    return metrics.with_rung(targets, by.target), metrics.with_rung(budgets, by.budget)


def _columns(targets: Sequence[float], budgets: Sequence[float]) -> list[str]:
    rungs = [*map(metrics.seconds_to, targets), *map(metrics.accuracy_within, budgets)]
    return [*COLUMNS[:-2], *rungs, *COLUMNS[-2:]]


def _measure_all(
    trials: pd.DataFrame,
    points: pd.DataFrame,
    floor: float,
    ladders: tuple[tuple[float, ...], tuple[float, ...]],
    budget: float,
) -> tuple[pd.DataFrame, tuple[BudgetPick, ...], dict[str, float]]:
    """Return the table in the order of trials; the best within each budget; hypervolumes."""
    arrays = {name: points[name].to_numpy() for name in _POINT_COLUMNS}
    bounds = np.searchsorted(arrays["trial"], np.arange(len(trials) + 1))
    chances = trials["chance"].to_numpy()
    rows = [
        _row(
            {name: values[start:end] for name, values in arrays.items()},
            chances[place], floor, ladders, budget,
        )
        for place, (start, end) in enumerate(pairwise(bounds))
    ]  # fmt: skip
    names = [*_MEASURED, *_columns(*ladders)[len(COLUMNS) - 2 : -2]]
    table = trials.join(pd.DataFrame(rows, columns=names, index=trials.index, dtype=float))
    table["pareto"], table["hypervolume_contribution"] = False, NAN
    by_device = table["device"].to_numpy()[arrays["trial"]]
    hypervolumes: dict[str, float] = {}
    choices: list[BudgetPick] = []
    for device in _by_size(table):
        here = by_device == device
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
        for within in ladders[1]:
            choices += _choice(table, device, within, seconds, accuracy, owners)
    return table, tuple(choices), hypervolumes


_SECONDS = ("train_seconds", "wall_seconds", "isolated_seconds", "isolated_error")
_POINT_COLUMNS = ("trial", "seconds", "accuracy", *_SECONDS, "epoch")
_MEASURED = (
    "val_accuracy", "seconds", "accuracy_per_second", "best_accuracy", "anytime",
    "seconds_to_floor", *_SECONDS, "epochs",
)  # fmt: skip


def _row(
    curve: dict[str, Any],
    chance: float,
    floor: float,
    ladders: tuple[tuple[float, ...], tuple[float, ...]],
    budget: float,
) -> tuple[float, ...]:
    targets, budgets = ladders
    seconds, accuracy = curve["seconds"], curve["accuracy"]
    if not len(seconds):
        return (NAN,) * (len(_MEASURED) + len(targets) + len(budgets))
    place = curves.efficient_point(seconds, accuracy, chance=chance, floor=floor)
    shown = int(accuracy.argmax()) if place is None else place
    rate = NAN if place is None else (accuracy[place] - chance) / seconds[place]
    first = curves.first_instant(budget)
    within = [curves.best_within(seconds, accuracy, limit) for limit in budgets]
    return (
        accuracy[shown],
        seconds[shown],
        rate,
        accuracy.max(),
        curves.anytime_area(seconds, accuracy, first=first, budget=budget),
        curves.seconds_to(seconds, accuracy, floor),
        *(curve[column][shown] for column in _SECONDS),
        curve["epoch"].max(),
        *(curves.seconds_to(seconds, accuracy, target) for target in targets),
        *(NAN if best is None else best for best in within),
    )


def _by_size(table: pd.DataFrame) -> list[str]:
    """Return the kinds of device, the one with the most measured trials first, then by name."""
    sizes = table.loc[table["best_accuracy"].notna(), "device"].value_counts()
    return sorted(sizes.index, key=lambda device: (-sizes[device], device))


def _choice(
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
    # the most accurate; of equals the soonest, then the first trial
    order = np.lexsort((owners[within], seconds[within], -accuracy[within]))
    best = within[order[0]]
    trial = table.loc[owners[best]]
    return [
        BudgetPick(
            device=device, budget=budget, run=trial["run"], trial_id=trial["trial_id"],
            accuracy=float(accuracy[best]), seconds=float(seconds[best]),
        )
    ]  # fmt: skip


def _in_order(table: pd.DataFrame, by: Measure, devices: list[str]) -> pd.DataFrame:
    """Return the rows in the stated order, with `rank`."""
    value = table[by.column].astype(float).replace(math.inf, NAN).round(12)
    ranked = value.notna() & (table["accuracy_per_second"].notna() | (not by.floored))
    keys = pd.DataFrame(
        {
            "device": table["device"].map({name: place for place, name in enumerate(devices)}),
            "unranked": ~ranked,
            "value": (value if by.ascending else -value).where(ranked, 0.0),
            "accuracy": -table["best_accuracy"],
            "seconds": table["seconds"],
            "run": table["run"],
            "digits": table["trial_id"].str.len(),  # 10000 follows 9999
            "trial_id": table["trial_id"],
        }
    )
    keys.loc[table["best_accuracy"].isna(), ["device", "unranked"]] = [len(devices), True]
    order = keys.sort_values(list(keys.columns), kind="stable").index
    table = table.loc[order].reset_index(drop=True)
    ranked = ranked.loc[order].reset_index(drop=True)
    places = ranked.groupby(table["device"]).cumsum()
    # objects, since a column of whole numbers with gaps would become floats
    table["rank"] = places.astype(object).where(ranked, None)
    return table
