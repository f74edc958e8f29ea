"""Who proposes: Optuna's samplers by name, or any other by `package.module:factory`."""

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
"""A seed → a sampler."""

_STARTUP_TRIALS = 5
"""Random proposals before TPE models anything; Optuna's 10 are half of a 20-trial search."""


def _tpe(seed: int, kind: type[TPESampler] = TPESampler) -> BaseSampler:
    # multivariate and grouped, since the parameters of a conditional space depend on each other;
    # the constant liar keeps proposals made at the same time apart
    return kind(
        multivariate=True,
        group=True,
        constant_liar=True,
        n_startup_trials=_STARTUP_TRIALS,
        seed=seed,
    )


SAMPLERS: Mapping[str, SamplerFactory] = MappingProxyType(
    {
        "tpe": _tpe,
        "tpe-cost": partial(_tpe, kind=CostAwareTPESampler),
        "random": RandomSampler,
    }
)
"""Name → sampler made from a seed."""


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
    """The sampler of each proposal, such that no restart of a search repeats a proposal."""

    def __init__(self, name: str, seed: int) -> None:
        self._make = sampler_factory(name)
        self._seed = seed
        # these two keep nothing between proposals; another may, and is made once a start
        self._anew = name in SAMPLERS
        self._made: BaseSampler | None = None

    def sampler(self, number: int, spent: float = 0.0) -> BaseSampler:
        """Return the sampler of a study's proposal.

        Args:
            number: of the proposal, counted from 0.
            spent: share of the search's budget that is spent, in [0, 1].
        """
        if self._made is None or self._anew:
            entropy = np.random.SeedSequence([self._seed, number]).generate_state(1)
            self._made = self._make(int(entropy[0]))
        if isinstance(self._made, CostAwareTPESampler):
            self._made.exponent = 1 - spent
        return self._made
