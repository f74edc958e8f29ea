"""Cost-aware TPE: maximizes expected improvement per predicted second.

Of its candidates, TPE proposes the one that maximizes the density ratio of good to bad trials,
l(x) / g(x), which grows with the expected improvement (Bergstra et al. 2011). Here the ratio is
divided by the predicted seconds to the power 1 − s, where s is the fraction of the budget already
spent: cheap trials come first, and cost has no weight at the end (EI-cool; Lee et al. 2020,
"Cost-aware Bayesian Optimization", arXiv:2003.10870).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from search_spaces import path_of

Array = npt.NDArray[np.float64]

COST = "cost_seconds"
"""User attribute of an Optuna trial: training seconds to its end."""
COST_PARAMETERS = (
    "solver.",
    "model.width",
    "model.blocks",
    "model.ode.convolutions",
    "model.ode.hidden_width",
    "model.stem.",
    "training.batch_size",
    "training.epochs",
)
"""Parameters that affect seconds per step or the number of steps; others would add noise."""
MIN_TRIALS = 5
"""Trials needed before costs are predicted."""
RIDGE = 1.0
"""Ridge penalty on standardized columns: prefers low variance to low bias with few trials."""


class CostModel:
    """Ridge regression of log(seconds): log-linear in numbers, one constant for each option.

    The model is additive over parameters, so it works for a sampler that draws them in groups.
    """

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        """Fit the model to the trials with a known cost."""
        known = [trial for trial in trials if trial.user_attrs.get(COST)]
        self._spread: dict[str, tuple[float, float]] = {}
        """Name of a number → mean and standard deviation of its logarithm."""
        self._weights: dict[tuple[str, float | None], float] = {}
        """(name, option; None for a number) → weight."""
        if len(known) < MIN_TRIALS:
            return
        columns = self._columns(known)
        if not columns:
            return
        design = np.column_stack(list(columns.values()))
        design -= design.mean(axis=0)
        seconds = np.log([trial.user_attrs[COST] for trial in known])
        normal = design.T @ design + RIDGE * np.eye(design.shape[1])
        weights = np.linalg.solve(normal, design.T @ (seconds - seconds.mean()))
        self._weights = dict(zip(columns, map(float, weights), strict=True))

    def log_seconds(self, name: str, values: Array, distribution: BaseDistribution) -> Array:
        """Return the contribution of a parameter to log(seconds), up to a constant, (N,).

        Args:
            name: name of the parameter.
            values: values in Optuna's internal representation, (N,).
            distribution: distribution of the parameter.
        """
        if isinstance(distribution, CategoricalDistribution):
            return np.array([self._weights.get((name, float(value)), 0.0) for value in values])
        if name not in self._spread:
            return np.zeros(len(values))
        mean, spread = self._spread[name]
        weight = self._weights.get((name, None), 0.0)
        return weight * (np.log(np.maximum(values, 1e-12)) - mean) / spread

    def _columns(self, known: Sequence[FrozenTrial]) -> dict[tuple[str, float | None], Array]:
        distributions: dict[str, BaseDistribution] = {}
        for trial in known:
            distributions |= trial.distributions
        columns: dict[tuple[str, float | None], Array] = {}
        for name, distribution in distributions.items():
            if not path_of(name).startswith(COST_PARAMETERS):
                continue
            values = np.array([_internal(trial, name, distribution) for trial in known])
            present = ~np.isnan(values)
            if isinstance(distribution, CategoricalDistribution):
                for option in range(len(distribution.choices)):
                    columns[name, float(option)] = (values == option).astype(float)
                continue
            logs = np.log(np.maximum(values[present], 1e-12))
            spread = float(logs.std())
            if spread == 0:
                continue
            self._spread[name] = float(logs.mean()), spread
            column = np.zeros(len(values))
            column[present] = (logs - logs.mean()) / spread
            columns[name, None] = column
        return columns


class CostAwareTPESampler(TPESampler):
    """TPE that divides the density ratio of a candidate by its predicted seconds."""

    exponent: float = 1.0
    """Exponent of the predicted seconds, in [0, 1]: 1 − the fraction of the budget spent."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._model: CostModel | None = None
        self._distributions: dict[str, BaseDistribution] = {}

    def _sample(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if self._model is None:
            self._model = CostModel(study.get_trials(deepcopy=False))
        self._distributions = search_space
        return super()._sample(study, trial, search_space)

    def _compute_acquisition_func(
        self, samples: dict[str, Array], mpe_below: Any, mpe_above: Any
    ) -> Array:
        log_ratio: Array = super()._compute_acquisition_func(samples, mpe_below, mpe_above)
        assert self._model is not None
        for name, values in samples.items():
            cost = self._model.log_seconds(name, values, self._distributions[name])
            log_ratio = log_ratio - self.exponent * cost
        return log_ratio


def _internal(trial: FrozenTrial, name: str, distribution: BaseDistribution) -> float:
    if name not in trial.params:
        return math.nan
    return float(distribution.to_internal_repr(trial.params[name]))
