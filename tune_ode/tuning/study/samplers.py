"""Samplers: TPE, cost-aware TPE, random and grid search, or any by `package.module:factory`."""

from __future__ import annotations

import contextlib
import inspect
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.samplers import BaseSampler, GridSampler, RandomSampler, TPESampler
from sqlalchemy.exc import SQLAlchemyError

from tune_ode.errors import TuneOdeError, UsageError, first_line, suggest_name
from tune_ode.tuning.study.cost_aware_tpe import CostAwareTPESampler
from tune_ode.user_code import import_object

SamplerFactory = Callable[[int], BaseSampler]
"""Makes a sampler from a seed."""

GRID = "grid"
"""Name of the sampler that tries each point of a finite space, in random order."""
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
        # for values that a starting point omits; its own proposals are drawn by `Coverage`
        GRID: RandomSampler,
    }
)
"""Built-in samplers by name."""


@contextlib.contextmanager
def sampler_errors(on_failure: Callable[[str], None]) -> Iterator[None]:
    """Call `on_failure` with a line on an exception of a sampler, which may be a user's.

    Errors of the storage are raised.
    """
    try:
        yield
    except (TuneOdeError, OSError, StorageInternalError, SQLAlchemyError):
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        on_failure(
            f"the sampler raised {type(error).__name__}: {first_line(error)} "
            f"({Path(last.filename).name}:{last.lineno}, in {last.name})"
        )


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
    with contextlib.suppress(TypeError, ValueError):  # not callable, or without a signature
        if "seed" in inspect.signature(factory).parameters:
            # not the first parameter of most of Optuna's samplers
            factory = _with_named_seed(factory)
    expected = "expected a function that takes a seed and returns an optuna.samplers.BaseSampler"
    try:
        with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
            sampler = factory(0)
    except Exception as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UsageError(f"--sampler {name}: {reason}; {expected}") from None
    if not isinstance(sampler, BaseSampler):
        raise UsageError(f"--sampler {name}: {expected}, found {type(sampler).__name__}")
    return factory


def _with_named_seed(factory: Callable[..., BaseSampler]) -> SamplerFactory:
    return lambda seed: factory(seed=seed)


class SamplerSource:
    """Provides the sampler of each proposal; proposals do not repeat after a restart."""

    def __init__(self, name: str, seed: int) -> None:
        self._make = sampler_factory(name)
        self._seed = seed
        self.is_grid = name == GRID
        """Whether each point of the space is to be tried, instead of what the sampler proposes."""
        # built-in samplers have no state between proposals; a custom one may: create it once
        self._stateless = name in SAMPLERS
        self._sampler: BaseSampler | None = None

    @property
    def has_own_points(self) -> bool:
        """Whether the sampler proposes a list of points, so that no others are to be tried."""
        return isinstance(self._sampler, GridSampler)

    def seed_of(self, number: int) -> int:
        """Return the seed of a proposal."""
        return int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])

    def sampler(self, number: int, spent: float = 0.0) -> BaseSampler:
        """Return the sampler for a proposal.

        Args:
            number: number of the proposal in the study, from 0.
            spent: fraction of the search's budget already spent, in [0, 1].
        """
        if self._sampler is None or self._stateless:
            self._sampler = self._make(self.seed_of(number))
        if isinstance(self._sampler, CostAwareTPESampler):
            self._sampler.exponent = 1 - spent
        return self._sampler
