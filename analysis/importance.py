"""Hyperparameter importance for accuracy and for training time: Optuna's PED-ANOVA.

PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023) compares the distribution of the best trials
with that of all trials. Its conditional form (arXiv 2601.20800, Optuna 5) evaluates a parameter
that only some trials have among those trials, weighted by their share of the best.

This is the only module of `analysis` that imports Optuna.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import PedAnovaImportanceEvaluator

LEAST_TRIALS = 10
"""Minimum number of measured trials with a parameter; with fewer its importance is noise."""
_BEST_SHARE, _LEAST_BEST, _MOST_BEST = 0.1, 5, 0.5
"""The best tenth of the trials, but at least five and at most half."""
_Ranges = dict[str, BaseDistribution]


@dataclass(frozen=True)
class Importances:
    """Importance of each parameter."""

    by_accuracy: Mapping[str, float]
    """Name → importance in [0, 1] for the best accuracy; the sum is 1."""
    by_seconds: Mapping[str, float]
    """Name → importance in [0, 1] for few training seconds per epoch; the sum is 1."""
    used: Mapping[str, int]
    """Name → number of trials that have it; conditional parameters have fewer than all."""
    trials: int
    best: int
    """Number of trials that count as the best."""
    least: int = LEAST_TRIALS
    """Minimum number of trials with a parameter."""

    @property
    def names(self) -> list[str]:
        """Parameters by total importance, highest first."""
        total = {
            name: self.by_accuracy.get(name, 0.0) + self.by_seconds.get(name, 0.0)
            for name in self.used
        }
        return sorted(total, key=lambda name: (-total[name], name))


def importances(
    params: Iterable[Mapping[str, Any]],
    accuracy: Iterable[float],
    seconds: Iterable[float],
    *,
    log: frozenset[str] = frozenset(),
) -> Importances | None:
    """Return the importance of each parameter that at least `LEAST_TRIALS` measured trials have.

    None if there is no such parameter.

    Args:
        params: of each trial, by name; a name may be missing.
        accuracy: of each trial; NaN if not measured.
        seconds: of each trial, lower is better; NaN if not measured.
        log: names of parameters searched on a logarithmic scale.
    """
    table = pd.DataFrame({"params": list(params), "up": list(accuracy), "down": list(seconds)})
    table = table.dropna(subset=["up", "down"])
    ranges = _ranges(table["params"], log)
    if not ranges:
        return None
    share = float(np.clip(_LEAST_BEST / len(table), _BEST_SHARE, _MOST_BEST))
    return Importances(
        by_accuracy=_ped_anova(table["params"], -table["up"], ranges, share),
        by_seconds=_ped_anova(table["params"], table["down"], ranges, share),
        used={name: sum(name in values for values in table["params"]) for name in ranges},
        trials=len(table),
        best=math.ceil(share * len(table)),
    )


def _ped_anova(
    params: pd.Series[Any], values: pd.Series[float], ranges: _Ranges, share: float
) -> dict[str, float]:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(direction="minimize")
        for trial, value in zip(params, values, strict=True):
            used = {name: tried for name, tried in trial.items() if name in ranges}
            study.add_trial(
                optuna.trial.create_trial(
                    params=used, distributions={name: ranges[name] for name in used}, value=value
                )
            )
        with warnings.catch_warnings(action="ignore"):  # a branch with a single trial is left out
            return optuna.importance.get_param_importances(
                study, evaluator=PedAnovaImportanceEvaluator(target_quantile=share)
            )
    finally:
        optuna.logging.set_verbosity(verbosity)


def _ranges(params: Iterable[Mapping[str, Any]], log: frozenset[str]) -> _Ranges:
    """Return the range of each parameter that enough trials have, with more than one value."""
    values: dict[str, list[Any]] = {}
    for trial in params:
        for name, value in trial.items():
            values.setdefault(name, []).append(value)
    ranges = {
        name: _range(tried, name in log)
        for name, tried in values.items()
        if len(tried) >= LEAST_TRIALS
    }
    return {name: tried for name, tried in ranges.items() if tried is not None}


def _range(values: list[Any], log: bool) -> BaseDistribution | None:
    types = {type(value) for value in values}
    if types <= {int, float}:
        low, high = min(values), max(values)
        if low == high or not (math.isfinite(low) and math.isfinite(high)):
            return None
        log = log and low > 0
        if types == {int}:
            return IntDistribution(low, high, log=log)
        return FloatDistribution(float(low), float(high), log=log)
    distinct = {repr(value): value for value in values}
    if len(distinct) < 2 or not types <= {str, bool, type(None), int, float}:
        return None  # Optuna cannot compare lists, for example
    return CategoricalDistribution(tuple(distinct[text] for text in sorted(distinct)))
