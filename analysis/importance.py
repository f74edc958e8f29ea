"""Which parameters decide accuracy, and which decide seconds: PED-ANOVA, by Optuna.

The one place of `analysis` that imports Optuna. PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023)
compares where the best share of trials lies with where all of them lie; its conditional form
(arXiv 2601.20800), which Optuna has from version 5, judges a parameter that only some trials have
within those, weighted by how many of the best they are.
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
"""Measured trials that have a parameter, below which its importance would be noise."""
_BEST_SHARE, _LEAST_BEST, _MOST_BEST = 0.1, 5, 0.5
"""The best tenth, but at least five trials, and at most half of them."""


@dataclass(frozen=True)
class Importances:
    """How much each parameter decides."""

    by_accuracy: Mapping[str, float]
    """Name → share in [0, 1] of what decides whether a trial's best accuracy is among the best."""
    by_seconds: Mapping[str, float]
    """Likewise for few training seconds per epoch."""
    used: Mapping[str, int]
    """Name → trials that have it: fewer than all where it depends on another's choice."""
    trials: int
    best: int
    """How many count as the best."""
    least: int = LEAST_TRIALS
    """Trials that have each parameter, at least."""

    @property
    def names(self) -> list[str]:
        """Parameters, the one that decides most in all first."""
        both = {
            name: self.by_accuracy.get(name, 0.0) + self.by_seconds.get(name, 0.0)
            for name in self.used
        }
        return sorted(both, key=lambda name: (-both[name], name))


def importances(
    params: Iterable[Mapping[str, Any]],
    accuracy: Iterable[float],
    seconds: Iterable[float],
    *,
    log: frozenset[str] = frozenset(),
) -> Importances | None:
    """Return how much each parameter decides that at least `LEAST_TRIALS` measured trials have.

    None where there is no such parameter.

    Args:
        params: of each trial, by name; a name may be missing.
        accuracy: of each trial; NaN where not measured.
        seconds: of each trial, the fewer the better; NaN likewise.
        log: names of parameters that were searched on a logarithmic scale.
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
        used={name: sum(name in one for one in table["params"]) for name in ranges},
        trials=len(table),
        best=math.ceil(share * len(table)),
    )


def _ped_anova(
    params: pd.Series[Any],
    values: pd.Series[float],
    ranges: Mapping[str, BaseDistribution],
    share: float,
) -> dict[str, float]:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(direction="minimize")
        for one, value in zip(params, values, strict=True):
            here = {name: at for name, at in one.items() if name in ranges}
            study.add_trial(
                optuna.trial.create_trial(
                    params=here, distributions={name: ranges[name] for name in here}, value=value
                )
            )
        with warnings.catch_warnings():  # of branches with a single trial: it is left out there
            warnings.simplefilter("ignore")
            return optuna.importance.get_param_importances(
                study, evaluator=PedAnovaImportanceEvaluator(target_quantile=share)
            )
    finally:
        optuna.logging.set_verbosity(verbosity)


def _ranges(
    params: Iterable[Mapping[str, Any]], log: frozenset[str]
) -> dict[str, BaseDistribution]:
    """Return the range of each parameter of which enough was tried, and more than one value."""
    values: dict[str, list[Any]] = {}
    for one in params:
        for name, value in one.items():
            values.setdefault(name, []).append(value)
    found = {
        name: _range(tried, name in log)
        for name, tried in values.items()
        if len(tried) >= LEAST_TRIALS
    }
    return {name: tried for name, tried in found.items() if tried is not None}


def _range(values: list[Any], log: bool) -> BaseDistribution | None:
    kinds = {type(value) for value in values}
    if kinds <= {int, float} and kinds:
        low, high = min(values), max(values)
        if low == high or not (math.isfinite(low) and math.isfinite(high)):
            return None
        log = log and low > 0
        if kinds == {int}:
            return IntDistribution(low, high, log=log)
        return FloatDistribution(float(low), float(high), log=log)
    options = {value if type(value) in {str, bool, type(None)} else repr(value) for value in values}
    if len(options) < 2 or any(type(v) not in {str, bool, type(None), int, float} for v in values):
        return None  # a list, say: nothing that Optuna could compare
    distinct = {repr(value): value for value in values}
    return CategoricalDistribution(tuple(distinct[text] for text in sorted(distinct)))
