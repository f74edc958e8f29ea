"""The ranking: which trial bought the most accuracy per second of training.

Stated order: by the measure asked for, best first; ties by higher accuracy, then fewer seconds,
then trial id. Trials that never reach the floor have no rank and follow, by accuracy; trials in
which nothing was measured come last, by id.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from analysis import curves
from analysis.load import Run
from tune_ode.errors import QuestionError, unknown_name

FLOOR_UNDER_BEST = 0.05
"""Default floor: this much under the best validation accuracy of the run."""
CLOCKS: Mapping[str, str] = MappingProxyType({"train": "train_seconds", "wall": "wall_seconds"})
"""Name of a clock → its column of the report lines."""
MEASURES: Mapping[str, Callable[[dict[str, Any]], float]] = MappingProxyType(
    {
        "accuracy_per_second": lambda row: row["accuracy_per_second"],
        "anytime": lambda row: row["anytime"],
        "accuracy": lambda row: row["best_accuracy"],
        "seconds": lambda row: -row["seconds_to_floor"],
    }
)
"""What can be ranked by → its value of a ranked row, the higher the better."""


@dataclass(frozen=True)
class Ranking:
    """A run's trials in order."""

    table: pd.DataFrame
    """One row a trial: `rank` (1 is best; null below the floor), `trial_id, outcome`;
    `val_accuracy, seconds` (on the ranking's clock), `train_seconds, wall_seconds` of the report
    that gives `accuracy_per_second` (1/s, above chance), or of the best report where none reaches
    the floor; `best_accuracy` of all its reports; `anytime` (area in [0, 1]), `seconds_to_floor`
    (infinite if missed), `pareto` (whether its curve touches the run's front), `epochs` trained in
    all, `reason, params`."""
    by: str
    clock: str
    floor: float
    """Validation accuracy that a trial must reach to be ranked."""
    chance: float

    def to_records(self) -> list[dict[str, Any]]:
        """Return one JSON object a trial, in order; what was not measured is None."""
        return [
            {str(name): _plain(value) for name, value in row.items()}
            for row in self.table.to_dict("records")
        ]

    def to_csv(self) -> str:
        """Return the ranking as CSV, a column for each parameter."""
        params = pd.json_normalize(list(self.table["params"]), max_level=0)
        params.index = self.table.index
        return str(self.table.drop(columns="params").join(params).to_csv(index=False))


def rank(
    run: Run, *, by: str = "accuracy_per_second", floor: float | None = None, clock: str = "train"
) -> Ranking:
    """Rank the trials of a run.

    Args:
        run: as loaded.
        by: a name of `MEASURES`.
        floor: least validation accuracy to be ranked; None: 0.05 under the run's best.
        clock: a name of `CLOCKS`.

    Raises:
        QuestionError: an unknown measure or clock.
    """
    if by not in MEASURES:
        raise QuestionError(unknown_name("measure", by, MEASURES))
    if clock not in CLOCKS:
        raise QuestionError(unknown_name("clock", clock, CLOCKS))
    points = measured(run, clock)
    if floor is None:
        best = float(points["accuracy"].max()) if len(points) else 0.0
        floor = max(best - FLOOR_UNDER_BEST, 0.0)
    front = curves.pareto_front(points["seconds"].to_numpy(), points["accuracy"].to_numpy())
    on_front = set(points["trial_id"][front])
    by_trial = dict(list(points.groupby("trial_id")))
    rows = [
        _row(trial, by_trial.get(trial["trial_id"]), run, floor)
        | {"pareto": trial["trial_id"] in on_front}
        for trial in run.trials.to_dict("records")
    ]
    rows.sort(key=lambda row: _order(row, MEASURES[by]))
    for place, row in enumerate(rows, start=1):
        row["rank"] = place if row["accuracy_per_second"] is not None else None
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    # object, since a column of whole numbers with gaps would become floats
    table["rank"] = pd.Series([row["rank"] for row in rows], dtype=object)
    return Ranking(table, by=by, clock=clock, floor=floor, chance=run.manifest.chance)


def measured(run: Run, clock: str) -> pd.DataFrame:
    """Return the points of every trial's curve, by trial and time.

    Args:
        run: as loaded.
        clock: a name of `CLOCKS`.

    Returns:
        `trial_id, seconds` (on that clock, above 0), `accuracy` (on the validation split),
        `train_seconds, wall_seconds, epoch`; reports that measured no accuracy are left out.
    """
    points = run.lines[["trial_id", "train_seconds", "wall_seconds", "epoch"]].assign(
        seconds=run.lines[CLOCKS[clock]].astype(float),
        accuracy=run.lines["val_accuracy"].astype(float),
    )
    points = points[points["accuracy"].notna() & (points["seconds"] > 0)]
    return points.sort_values(["trial_id", "seconds", "epoch"], ignore_index=True)


_MEASURED = (
    "val_accuracy", "seconds", "accuracy_per_second", "best_accuracy", "anytime",
    "seconds_to_floor", "train_seconds", "wall_seconds", "epochs",
)  # fmt: skip
_COLUMNS = (
    "rank", "trial_id", "outcome", *_MEASURED[:6], "pareto", *_MEASURED[6:], "reason", "params",
)  # fmt: skip


def _row(
    trial: dict[Any, Any], points: pd.DataFrame | None, run: Run, floor: float
) -> dict[str, Any]:
    row = {name: trial[name] for name in ("trial_id", "outcome", "reason", "params")}
    row |= dict.fromkeys(_MEASURED)
    if points is None:
        return row
    seconds, accuracy = points["seconds"].to_numpy(), points["accuracy"].to_numpy()
    chance, budget = run.manifest.chance, run.budget
    place = curves.efficient_point(seconds, accuracy, chance=chance, floor=floor)
    shown = points.iloc[int(accuracy.argmax()) if place is None else place]
    return row | {
        "val_accuracy": float(shown["accuracy"]),
        "best_accuracy": float(accuracy.max()),
        **{name: float(shown[name]) for name in ("seconds", "train_seconds", "wall_seconds")},
        "accuracy_per_second": curves.accuracy_per_second(
            seconds, accuracy, chance=chance, floor=floor
        ),
        "anytime": curves.anytime_area(
            seconds, accuracy, first=curves.first_instant(budget), budget=budget
        ),
        "seconds_to_floor": curves.seconds_to(seconds, accuracy, floor),
        "epochs": float(points["epoch"].max()),
    }


def _order(row: dict[str, Any], measure: Callable[[dict[str, Any]], float]) -> tuple[Any, ...]:
    by_id = len(row["trial_id"]), row["trial_id"]  # 10000 follows 9999
    if row["best_accuracy"] is None:
        return 2, 0.0, 0.0, 0.0, by_id
    if row["accuracy_per_second"] is None:
        return 1, 0.0, -row["best_accuracy"], row["seconds"], by_id
    return 0, -measure(row), -row["best_accuracy"], row["seconds"], by_id


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


_SHORT = MappingProxyType(
    {
        "learning_rate": "lr",
        "adamw_learning_rate": "adamw lr",
        "weight_decay": "wd",
        "label_smoothing": "smoothing",
        "normalization": "norm",
        "convolutions": "convs",
        "batch_size": "batch",
    }
)
_NAMES_ITSELF = frozenset({"method", "gradient", "name", "kind", "architecture"})
_IN_SEVERAL_PARTS = frozenset({"normalization", "activation", "hidden_width"})


def compact_params(params: Mapping[str, Any]) -> str:
    """Return searched values in few characters: the last part of each name, with its value.

    A value that names itself (`dopri5`, `cosine`) stands alone; the branch behind an @ is left out.

    >>> compact_params({"solver.method": "rk4", "optimizer.learning_rate@sgd": 0.1234})
    'rk4, lr 0.123'
    """
    return ", ".join(_compact(name, value) for name, value in params.items())


def _compact(name: str, value: Any) -> str:
    *parts, leaf = name.partition("@")[0].split(".")
    if leaf in _NAMES_ITSELF:
        return str(value)
    short = _SHORT.get(leaf, leaf)
    if leaf in _IN_SEVERAL_PARTS and parts:
        # model.normalization is that of all layers outside the ODE function
        short = f"{'outer' if parts[-1] == 'model' else parts[-1]} {short}"
    if isinstance(value, bool):
        return short if value else f"no {short}"
    return f"{short} {value:.3g}" if isinstance(value, float) else f"{short} {value}"
