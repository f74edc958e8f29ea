"""Optuna's part of a search: it proposes points of the space and is told how they ended."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import Trial, TrialState

from search_spaces import Space
from tune_ode.records import Outcome, TrialOutcome

TRIAL_ID = "trial_id"
"""User attribute that ties a trial of the study to one of the run."""
_STUDY = "search"
_STARTUP_TRIALS = 5
"""Random proposals before TPE models anything; Optuna's 10 are half of a 20-trial search."""


def _tpe(seed: int) -> BaseSampler:
    # multivariate and grouped, since the parameters of a conditional space depend on each other;
    # the constant liar keeps proposals made at the same time apart
    return TPESampler(
        multivariate=True,
        group=True,
        constant_liar=True,
        n_startup_trials=_STARTUP_TRIALS,
        seed=seed,
    )


SAMPLERS: Mapping[str, Callable[[int], BaseSampler]] = MappingProxyType(
    {"tpe": _tpe, "random": RandomSampler}
)
"""Name → sampler made from a seed."""


class Proposals:
    """A study behind three verbs: propose, repeat, tell."""

    def __init__(
        self, space: Space, *, journal: Path | None, sampler: str = "tpe", seed: int = 0
    ) -> None:
        """Open or create the study.

        Args:
            space: what is searched.
            journal: the study's journal file; None keeps it in memory.
            sampler: a name of `SAMPLERS`.
            seed: of the proposals, with each proposal's number: a restart repeats none of them.
        """
        # multivariate, group and constant_liar are marked experimental
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        storage = None
        if journal is not None:
            _drop_torn_line(journal)
            # opened exclusively instead of the default symlink, which some file systems lack
            lock = JournalFileOpenLock(str(journal))
            storage = JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))
        self.space = space
        self._make_sampler = SAMPLERS[sampler]
        self._seed = seed
        self.study = optuna.create_study(
            storage=storage, study_name=_STUDY, direction="maximize", load_if_exists=True
        )
        self._asked = len(self.study.get_trials(deepcopy=False))
        self._running: dict[str, Trial] = {}

    def start_from(self, point: Mapping[str, Any]) -> None:
        """Propose this point next; parameters it does not name are left to the sampler."""
        self.study.enqueue_trial(dict(point))

    def propose(self) -> tuple[Trial, dict[str, Any]]:
        """Return the next point, by parameter name, with its trial of the study."""
        entropy = np.random.SeedSequence([self._seed, self._asked]).generate_state(1)
        self.study.sampler = self._make_sampler(int(entropy[0]))
        trial = self.study.ask()
        self._asked += 1
        return trial, self.space.sample(trial)

    def begin(self, trial: Trial, trial_id: str) -> None:
        """Tie a proposal to the run's trial that tries it."""
        trial.set_user_attr(TRIAL_ID, trial_id)
        self._running[trial_id] = trial

    def repeat(self, trial_id: str, params: Mapping[str, Any]) -> None:
        """Take up an interrupted trial of the run again: the study sees it running."""
        self.start_from(params)
        trial, _ = self.propose()
        self.begin(trial, trial_id)

    def tell(self, outcome: TrialOutcome) -> None:
        """Say how a trial of the run ended."""
        _tell(self.study, self._running.pop(outcome.trial_id), outcome)

    def reconcile(self, outcomes: Mapping[str, TrialOutcome]) -> None:
        """Bring the study in line with the run folder after an interruption.

        Trials that the study still holds as running are told what the folder says of them, and
        that they failed where it says nothing: a killed driver leaves such trials behind. Points
        still waiting to be proposed are dropped; who resumes enqueues what is to be tried.
        """
        while self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            self.study.tell(self.study.ask(), state=TrialState.FAIL)
            self._asked += 1
        for frozen in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            outcome = outcomes.get(frozen.user_attrs.get(TRIAL_ID, ""))
            if outcome is None:
                self.study.tell(frozen.number, state=TrialState.FAIL)
            else:
                _tell(self.study, Trial(self.study, frozen._trial_id), outcome)


def _drop_torn_line(journal: Path) -> None:
    """Remove a last line that a killed driver or a full disk left unfinished.

    Optuna would append to it and could never read the journal again; what the line said follows
    from the run folder.
    """
    if not journal.exists():
        return
    content = journal.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(journal, whole)


def _tell(study: optuna.Study, trial: Trial, outcome: TrialOutcome) -> None:
    if outcome.value is not None and outcome.outcome in (Outcome.COMPLETED, Outcome.STOPPED):
        trial.set_constraint("trains", 0.0)
        study.tell(trial, outcome.value)
    elif outcome.outcome in (Outcome.DIVERGED, Outcome.OUT_OF_MEMORY):
        # a violated constraint: the sampler stays away without taking it for a measurement
        trial.set_constraint("trains", 1.0)
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, state=TrialState.FAIL)
