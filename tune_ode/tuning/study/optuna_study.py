"""Optuna's part of a search: it proposes points of the space and is told how they ended.

Each trial of the run is exactly one trial of the study, over all restarts: an interrupted one waits
in the study, under its number, until it is taken up again.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from search_spaces import Space
from tune_ode.records import Outcome, Report, TrialResult, TrialSpec
from tune_ode.tuning.study.cost_aware_tpe import COST
from tune_ode.tuning.study.objective import OBJECTIVES, Objective, accuracy_by
from tune_ode.tuning.study.samplers import SamplerSource
from tune_ode.tuning.study.storage import open_database, open_journal, storage_errors

TRIAL_ID = "trial_id"
"""User attribute that ties a trial of the study to one of the run."""
TRANSFERRED = "transferred_from"
"""User attribute of a result that an earlier run measured; it is no trial of this run."""
_TRANSFER_DONE = "transfer_done"
_TRAINS = "trains"
"""Constraint that a diverged or out-of-memory trial violates."""
Lines = Sequence[Report]


@dataclass(frozen=True, kw_only=True)
class PriorResult:
    """What an earlier run measured at a point."""

    params: Mapping[str, Any]
    """A whole point of the space."""
    values: Sequence[float]
    """One number an objective."""
    source: str
    """Names its run and trial."""


class StudyAdapter:
    """A study behind few verbs: propose, repeat, park, tell."""

    def __init__(
        self,
        space: Space,
        *,
        journal: Path | None = None,
        url: str | None = None,
        study: str = "search",
        objective: Objective = OBJECTIVES["anytime"],
        pace: Literal["train_seconds", "epoch"] = "train_seconds",
        sampler: str = "tpe",
        seed: int = 0,
        remedy: str = "run the search again",
    ) -> None:
        """Open or create the study.

        Args:
            space: what is searched.
            journal: the study's journal file; neither this nor `url`: kept in memory.
            url: a database that keeps the study instead, with its password.
            study: its name.
            objective: what is optimized.
            pace: what trials are compared at the same value of when stopped.
            sampler: a name of `SAMPLERS`, or `package.module:factory`.
            seed: of the proposals, with each proposal's number: a restart repeats none of them.
            remedy: how to go on after the study could not be written.

        Raises:
            QuestionError: the sampler is not known, or the database cannot be opened.
        """
        # multivariate, group and constant_liar are marked experimental
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        # a driver that is killed while it tells has said some of it already
        warnings.filterwarnings("ignore", message="The (reported|constraint) value is ignored")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space = space
        self.objective = objective
        self._pace = pace
        self._remedy = remedy
        self._samplers = SamplerSource(sampler, seed)
        self._running: dict[str, Trial] = {}
        with storage_errors(remedy):
            self._storage = _open(journal, url)
            self.study = optuna.create_study(
                storage=self._storage,
                study_name=study,
                directions=list(objective.directions),
                load_if_exists=True,
            )
            self._size = len(self._trials())

    def enqueue(self, points: Iterable[Mapping[str, Any]]) -> None:
        """Propose these points next, each once in the life of the study.

        Parameters that a point does not name are left to the sampler.
        """
        with storage_errors(self._remedy):
            for point in points:
                self.study.enqueue_trial(dict(point), skip_if_exists=True)
            self._size = len(self._trials())

    def ask(self, spent: float = 0.0) -> tuple[Trial, dict[str, Any]]:
        """Return the next point, by parameter name, with its trial of the study.

        Args:
            spent: share of the search's budget that is spent, in [0, 1].
        """
        with storage_errors(self._remedy):
            waiting = self._trials(TrialState.WAITING)
            number = waiting[0].number if waiting else self._size
            self.study.sampler = self._samplers.sampler(number, spent)
            trial = self.study.ask()
            self._size = max(self._size, number + 1)
            return trial, self.space.sample(trial)

    def reject(self, trial: Trial) -> None:
        """Take back a proposal that is no valid configuration; the sampler learns to stay away."""
        with storage_errors(self._remedy):
            trial.set_constraint(_TRAINS, 1.0)
            self.study.tell(trial, state=TrialState.PRUNED)

    def attach(self, trial: Trial, trial_id: str) -> None:
        """Tie a proposal to the run's trial that tries it."""
        self._running[trial_id] = trial
        with storage_errors(self._remedy):
            trial.set_user_attr(TRIAL_ID, trial_id)

    def resume(self, trial_id: str) -> None:
        """Take up a parked trial of the run again: the study sees it running."""
        with storage_errors(self._remedy):
            (parked,) = (
                trial
                for trial in self._trials(TrialState.WAITING)
                if trial.user_attrs.get(TRIAL_ID) == trial_id
            )
            self._running[trial_id] = self._run(parked)

    def requeue(self, trial_id: str) -> None:
        """Let an interrupted trial of the run wait, to be taken up by `repeat`."""
        with storage_errors(self._remedy):
            self._requeue(self._running.pop(trial_id)._trial_id)

    def tell(self, outcome: TrialResult, lines: Lines, cost: float | None = None) -> None:
        """Say how a trial of the run ended, and what it reported.

        Args:
            outcome: how it ended.
            lines: its report lines.
            cost: training seconds that it takes to its end; None where nothing is known.
        """
        with storage_errors(self._remedy):
            trial = self._running.pop(outcome.trial_id)
            if cost is not None:
                trial.set_user_attr(COST, cost)
            self._tell(trial, outcome, lines)

    def reconcile(
        self,
        setups: Sequence[TrialSpec],
        outcomes: Mapping[str, TrialResult],
        lines: Callable[[str], Lines],
    ) -> None:
        """Bring the study in line with the run folder after an interruption.

        A trial that the study lacks is added; one that it holds as running is told what the folder
        says of it, and parked where it says nothing; a proposal that never became a trial of the
        run waits to be proposed again.

        Args:
            setups: every trial of the run.
            outcomes: those of finished trials.
            lines: trial id → its report lines.
        """
        with storage_errors(self._remedy):
            known = {t.user_attrs[TRIAL_ID]: t for t in self._trials() if TRIAL_ID in t.user_attrs}
            loose = [t for t in self._trials(TrialState.RUNNING) if TRIAL_ID not in t.user_attrs]
            for setup in setups:
                outcome = outcomes.get(setup.trial_id)
                frozen = known.get(setup.trial_id)
                if frozen is None:
                    # killed between writing config.json and tying the two
                    same = [trial for trial in loose if _is_of(trial, setup)]
                    frozen = same[0] if same else self._add(setup)
                    self._storage.set_trial_user_attr(frozen._trial_id, TRIAL_ID, setup.trial_id)
                    loose = [trial for trial in loose if trial is not frozen]
                if frozen.state.is_finished():
                    if outcome is None:  # someone took its outcome away, to have it tried again
                        self._requeue(self._add(setup)._trial_id)
                elif outcome is not None:
                    self._tell(self._run(frozen), outcome, lines(setup.trial_id))
                else:
                    self._requeue(frozen._trial_id)
            for trial in loose:
                self._requeue(trial._trial_id)
            self._size = len(self._trials())

    def warm_start(self, results: Iterable[PriorResult]) -> None:
        """Add an earlier run's results to a study, once in its life."""
        with storage_errors(self._remedy):
            if _TRANSFER_DONE in self.study.user_attrs:
                return
            added = {trial.user_attrs.get(TRANSFERRED) for trial in self._trials()}
            for result in results:
                if result.source not in added:
                    self.study.add_trial(self._prior_trial(result))
            self.study.set_user_attr(_TRANSFER_DONE, True)
            self._size = len(self._trials())

    # --- inside -----------------------------------------------------------------------------

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states or None)

    def _add(self, setup: TrialSpec) -> FrozenTrial:
        """Make a trial of the study anew from the run folder; it is running."""
        asked = {name: value for name, value in setup.params.items() if name in self.space.names}
        self.study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                system_attrs={"fixed_params": asked},
                user_attrs={TRIAL_ID: setup.trial_id},
            )
        )
        frozen = self._trials()[-1]
        self.space.sample(Trial(self.study, frozen._trial_id))
        return self._trials()[-1]

    def _prior_trial(self, result: PriorResult) -> FrozenTrial:
        scratch = optuna.create_study(storage=InMemoryStorage())
        scratch.enqueue_trial(dict(result.params))
        trial = scratch.ask()
        self.space.sample(trial)
        return create_trial(
            params=trial.params,
            distributions=trial.distributions,
            values=list(result.values),
            user_attrs={TRANSFERRED: result.source},
            system_attrs={f"constraints:{_TRAINS}": 0.0},
        )

    def _run(self, frozen: FrozenTrial) -> Trial:
        if frozen.state is TrialState.WAITING:
            self._storage.set_trial_state_values(frozen._trial_id, state=TrialState.RUNNING)
        return Trial(self.study, frozen._trial_id)

    def _requeue(self, study_trial_id: int) -> None:
        self._storage.set_trial_state_values(study_trial_id, state=TrialState.WAITING)

    def _tell(self, trial: Trial, outcome: TrialResult, lines: Lines) -> None:
        if outcome.values is not None:
            trial.set_constraint(_TRAINS, 0.0)
            if self.objective.prunes:
                reached = accuracy_by(lines, lambda line: float(getattr(line, self._pace)))
                for place, accuracy in reached.items():
                    trial.report(accuracy, place)
            if self.objective.prunes and outcome.outcome is Outcome.STOPPED:
                self.study.tell(trial, state=TrialState.PRUNED)
            else:
                self.study.tell(trial, outcome.values)
        elif outcome.outcome in (Outcome.DIVERGED, Outcome.OUT_OF_MEMORY):
            # a violated constraint: the sampler stays away without taking it for a measurement
            trial.set_constraint(_TRAINS, 1.0)
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, state=TrialState.FAIL)


def _is_of(trial: FrozenTrial, setup: TrialSpec) -> bool:
    # fixed parameters stand in a trial's configuration alone
    return all(
        name in setup.params and setup.params[name] == value for name, value in trial.params.items()
    )


def _open(journal: Path | None, url: str | None) -> BaseStorage:
    if url is not None:
        return open_database(url)
    return InMemoryStorage() if journal is None else open_journal(journal)
