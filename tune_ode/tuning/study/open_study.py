"""Opens the Optuna study of a search, and names the attributes that it adds to studies."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, InMemoryStorage

from tune_ode.tuning.study.storage import open_database, open_journal

TRIAL_ID = "trial_id"
"""User attribute: the run's trial that an Optuna trial belongs to."""
TRAINABLE = "trainable"
"""Constraint that a diverged or out-of-memory trial violates."""
Direction = Literal["maximize", "minimize"]
_STOPPED = "stopped_by_sampler"


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Suppress warnings and messages of Optuna that a search gives rise to."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            # multivariate, group and constant_liar are experimental
            warnings.filterwarnings("ignore", category=ExperimentalWarning)
            # a driver that was killed while telling a result had reported a part of it
            warnings.filterwarnings("ignore", message="The (reported|constraint) value is ignored")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


class SearchStudy(optuna.Study):
    """A study that its sampler may stop outside of `optimize`, also for later resumes."""

    def __init__(self, study_name: str, storage: BaseStorage) -> None:
        super().__init__(study_name, storage)
        self.stopped = _STOPPED in self.user_attrs
        """Whether nothing more is to be proposed; as in Optuna, running trials continue."""

    def stop(self) -> None:
        """Stop the study; samplers call this."""
        self.stopped = True
        self.set_user_attr(_STOPPED, True)


def open_study(
    name: str, directions: Sequence[Direction], *, journal: Path | None, url: str | None
) -> SearchStudy:
    """Open or create a study, in a journal file, at the URL of a database, or in memory."""
    if url is not None:
        storage = open_database(url)
    else:
        storage = InMemoryStorage() if journal is None else open_journal(journal)
    optuna.create_study(
        storage=storage, study_name=name, directions=list(directions), load_if_exists=True
    )
    return SearchStudy(name, storage)
