"""Turns points that a sampler proposes into configurations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from optuna.trial import Trial

from search_spaces import configure
from tune_ode.config import TrialConfig
from tune_ode.errors import ConfigurationError
from tune_ode.tuning.study.optuna_study import StudyAdapter

MAX_INVALID_PROPOSALS = 100
"""Raise after this many consecutive proposals that are not valid configurations."""


@dataclass(frozen=True)
class Proposal:
    """A valid configuration that a sampler proposes."""

    trial: Trial
    params: dict[str, Any]
    config: TrialConfig


def propose(study: StudyAdapter, base: TrialConfig, spent: float) -> Proposal | None:
    """Return the next proposal, or None if there is nothing left to propose.

    Args:
        study: proposes points of its space.
        base: the configuration that their values are set on.
        spent: fraction of the search's budget already spent, in [0, 1].

    Raises:
        ConfigurationError: the last of many proposals that are not valid configurations.
    """
    # a space is validated before a search, but not at all of its points
    invalid = 0
    while (asked := study.ask(spent)) is not None:
        try:
            return Proposal(*asked, configure(base, asked[1]))
        except ConfigurationError:
            study.reject(asked[0])
            invalid += 1
            if invalid == MAX_INVALID_PROPOSALS:
                raise
    return None
