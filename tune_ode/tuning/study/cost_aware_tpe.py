"""Proposals that weigh what a trial would cost: more improvement expected per predicted second.

TPE proposes, of the candidates it draws, the one whose density among good trials most exceeds that
among bad ones, l(x) / g(x), which grows with the expected improvement (Bergstra et al. 2011). Here
it is divided by the predicted seconds to the power 1 − s, s being the share of the budget that is
spent: cheap trials first, and in the end what promises most, whatever it costs (Lee et al. 2020,
"Cost-aware Bayesian Optimization", arXiv:2003.10870: EI-cool).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
"""User attribute of a trial of the study: the training seconds that it takes to its end."""
MATTERS = (
    "solver.",
    "model.width",
    "model.blocks",
    "model.ode.convolutions",
    "model.ode.hidden_width",
    "model.stem.",
    "training.batch_size",
    "training.epochs",
)
"""Settings that a step's seconds, or the number of steps, follow from; the rest would be noise."""
FEWEST = 5
"""Trials before anything is predicted."""
RIDGE = 1.0
"""Weight of the prior that no parameter matters, in trials: low variance before low bias."""


class CostModel:
    """log(seconds) as a sum over parameters: log-linear in numbers, a constant for each option.

    Fitted by ridge regression. Additive, so that the parameters of a point can be priced apart, as
    a sampler that draws them in groups needs it.
    """

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        """Fit it to the trials whose cost is known."""
        known = [trial for trial in trials if trial.user_attrs.get(COST)]
        self._spread: dict[str, tuple[float, float]] = {}
        """Number's name → mean and spread of its logarithm."""
        self._weights: dict[tuple[str, float | None], float] = {}
        """(name, option, or None of a number) → weight."""
        if len(known) < FEWEST:
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
        """Return what a parameter adds to the logarithm of a trial's seconds, up to a constant.

        Args:
            name: of the parameter.
            values: in Optuna's internal representation, (N,).
            distribution: the parameter's.
        """
        if isinstance(distribution, CategoricalDistribution):
            return np.array([self._weights.get((name, float(value)), 0.0) for value in values])
        if name not in self._spread:
            return np.zeros(len(values))
        middle, spread = self._spread[name]
        weight = self._weights.get((name, None), 0.0)
        return weight * (np.log(np.maximum(values, 1e-12)) - middle) / spread

    def _columns(self, known: Sequence[FrozenTrial]) -> dict[tuple[str, float | None], Array]:
        distributions: dict[str, BaseDistribution] = {}
        for trial in known:
            distributions |= trial.distributions
        columns: dict[tuple[str, float | None], Array] = {}
        for name, distribution in distributions.items():
            if not path_of(name).startswith(MATTERS):
                continue
            values = np.array([_internal(trial, name, distribution) for trial in known])
            there = ~np.isnan(values)
            if isinstance(distribution, CategoricalDistribution):
                for option in range(len(distribution.choices)):
                    columns[name, float(option)] = (values == option).astype(float)
                continue
            logs = np.log(np.maximum(values[there], 1e-12))
            spread = float(logs.std())
            if spread == 0:
                continue
            self._spread[name] = float(logs.mean()), spread
            column = np.zeros(len(values))
            column[there] = (logs - logs.mean()) / spread
            columns[name, None] = column
        return columns


class CostAwareTPESampler(TPESampler):
    """TPE that prefers candidates which promise more per predicted second."""

    exponent: float = 1.0
    """Of the predicted seconds, in [0, 1]: 1 − the share of the budget that is spent."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._model: CostModel | None = None
        self._priced: tuple[CostModel, Mapping[str, BaseDistribution]] | None = None

    def _sample(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if self._model is None:
            self._model = CostModel(study.get_trials(deepcopy=False))
        self._priced = self._model, search_space
        return super()._sample(study, trial, search_space)

    def _compute_acquisition_func(
        self, samples: dict[str, Array], mpe_below: Any, mpe_above: Any
    ) -> Array:
        promise: Array = super()._compute_acquisition_func(samples, mpe_below, mpe_above)
        assert self._priced is not None
        model, space = self._priced
        cost = sum(
            (model.log_seconds(name, values, space[name]) for name, values in samples.items()),
            start=np.zeros(len(promise)),
        )
        return promise - self.exponent * cost


def _internal(trial: FrozenTrial, name: str, distribution: BaseDistribution) -> float:
    if name not in trial.params:
        return math.nan
    return float(distribution.to_internal_repr(trial.params[name]))
