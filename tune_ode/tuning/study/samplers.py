"""Samplers: TPE, cost-aware TPE and random search, or any other by `package.module:factory`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from tune_ode.errors import UsageError, first_line, suggest_name
from tune_ode.tuning.study.cost_aware_tpe import CostAwareTPESampler
from tune_ode.user_code import import_object

SamplerFactory = Callable[[int], BaseSampler]
"""Makes a sampler from a seed."""

_STARTUP_TRIALS = 5
"""Random proposals before TPE fits a model; Optuna's 10 are half of a 20-trial search."""


def _tpe(seed: int, sampler: type[TPESampler] = TPESampler) -> BaseSampler:
    # multivariate and group model dependencies between the parameters of a conditional space;
    # constant_liar keeps concurrent proposals apart
    return sampler(
        multivariate=True,
        group=True,
        constant_liar=True,
        n_startup_trials=_STARTUP_TRIALS,
        seed=seed,
    )


SAMPLERS: Mapping[str, SamplerFactory] = MappingProxyType(
    {
        "tpe": _tpe,
        "tpe-cost": partial(_tpe, sampler=CostAwareTPESampler),
        "random": RandomSampler,
    }
)
"""Built-in samplers by name."""


def sampler_factory(name: str) -> SamplerFactory:
    """Return the factory named in `SAMPLERS` or by `package.module:factory`.

    Raises:
        UsageError: unknown name, failed import, or a factory that returns no Optuna sampler.
    """
    if name in SAMPLERS:
        return SAMPLERS[name]
    if ":" not in name:
        raise UsageError(f"{suggest_name('sampler', name, SAMPLERS)}, or package.module:factory")
    try:
        factory: SamplerFactory = import_object(name)
    except UsageError as error:
        raise UsageError(f"--sampler {name}: {error}") from None
    expected = "expected a function that takes a seed and returns an optuna.samplers.BaseSampler"
    try:
        sampler = factory(0)
    except Exception as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UsageError(f"--sampler {name}: {reason}; {expected}") from None
    if not isinstance(sampler, BaseSampler):
        raise UsageError(f"--sampler {name}: {expected}, found {type(sampler).__name__}")
    return factory


class SamplerSource:
    """Provides the sampler of each proposal; proposals do not repeat after a restart."""

    def __init__(self, name: str, seed: int) -> None:
        self._make = sampler_factory(name)
        self._seed = seed
        # built-in samplers have no state between proposals; a custom one may: create it once
        self._stateless = name in SAMPLERS
        self._sampler: BaseSampler | None = None

    def sampler(self, number: int, spent: float = 0.0) -> BaseSampler:
        """Return the sampler for a proposal.

        Args:
            number: number of the proposal in the study, from 0.
            spent: fraction of the search's budget already spent, in [0, 1].
        """
        if self._sampler is None or self._stateless:
            entropy = np.random.SeedSequence([self._seed, number]).generate_state(1)
            self._sampler = self._make(int(entropy[0]))
        if isinstance(self._sampler, CostAwareTPESampler):
            self._sampler.exponent = 1 - spent
        return self._sampler
