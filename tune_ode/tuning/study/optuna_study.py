"""The Optuna study of a search: asks for points of the space, and is told the results.

Each trial of the run is exactly one trial of the study across restarts: an interrupted trial waits
in the study under its number until it is resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from search_spaces import Space
from tune_ode.records import Outcome, Report, TrialResult, TrialSpec
from tune_ode.tuning.study.cost_aware_tpe import COST
from tune_ode.tuning.study.coverage import MAX_PROPOSALS, MAX_REPEATS, Coverage
from tune_ode.tuning.study.objective import OBJECTIVES, Objective, intermediate_values
from tune_ode.tuning.study.open_study import TRAINABLE, TRIAL_ID, open_study
from tune_ode.tuning.study.samplers import SamplerSource, sampler_errors
from tune_ode.tuning.study.storage import storage_errors
from tune_ode.tuning.study.warm_start import PRIOR_SOURCE, PriorResult

_WARM_STARTED = "warm_started"


class StudyAdapter:
    """Connects the trials of a run with the trials of an Optuna study."""

    def __init__(
        self,
        space: Space,
        *,
        journal: Path | None = None,
        url: str | None = None,
        study_name: str = "search",
        objective: Objective = OBJECTIVES["anytime"],
        instants: Sequence[float] | None = None,
        sampler: str = "tpe",
        seed: int = 0,
        remedy: str = "run the search again",
    ) -> None:
        """Open or create the study.

        Args:
            space: search space.
            journal: journal file of the study; in memory without this and `url`.
            url: database for the study instead of a journal, with its password.
            study_name: name of the study.
            objective: what to optimize.
            instants: `train_seconds` at which intermediate values are told; None: at epochs.
            sampler: a name of `SAMPLERS`, or `package.module:factory`.
            seed: seed of the sampler, combined with the number of each proposal, so that
                proposals do not repeat after a restart.
            remedy: how to continue after a storage error.

        Raises:
            UsageError: unknown sampler, or the database cannot be opened.
        """
        self.space = space
        self.objective = objective
        self._instants = instants
        self._remedy = remedy
        self._samplers = SamplerSource(sampler, seed)
        self._running: dict[str, Trial] = {}
        self.failure: str | None = None
        """What the sampler raised, if it did: nothing more can be proposed."""
        with self._guard():
            self.study = open_study(study_name, objective.directions, journal=journal, url=url)
            self._storage = self.study._storage
            if self.study.metric_names != list(objective.metrics):
                self.study.set_metric_names(list(objective.metrics))
            self.study.sampler = self._samplers.sampler(len(self._trials()))

    @property
    def ended(self) -> str | None:
        """Why there is nothing left to propose, also to a resumed search; else None."""
        stopped = "the sampler ended the search" if self.study.stopped else None
        return self._coverage.exhausted or stopped

    def enqueue(self, points: Iterable[Mapping[str, Any]]) -> None:
        """Add points to try next, unless the study already has them.

        The sampler chooses parameters that a point omits. A sampler with a list of points gets
        none: Optuna's grid sampler, for one, fails on others.
        """
        with storage_errors(self._remedy):
            for point in () if self._samplers.has_own_points else points:
                self.study.enqueue_trial(dict(point), skip_if_exists=True)

    def ask(self, spent: float = 0.0) -> tuple[Trial, dict[str, Any]] | None:
        """Return the next Optuna trial and its point, a value for each parameter.

        No point is proposed twice. Returns None if there is nothing left to propose, see `ended`,
        or the sampler raised an exception, see `failure`.

        Args:
            spent: fraction of the search's budget already spent, in [0, 1].
        """
        with self._guard():
            for attempt in range(MAX_PROPOSALS):
                if self.ended is not None:
                    return None
                self._prepare_proposal(attempt, spent)
                trial = self.study.ask()
                params = self.space.sample(trial)
                if self._coverage.add(trial.params):
                    return trial, params
                # samplers ignore failed trials
                self.study.tell(trial, state=TrialState.FAIL)
            self.study.stop()
        return None

    def reject(self, trial: Trial) -> None:
        """Mark a proposal that is no valid configuration as infeasible."""
        with self._guard():
            trial.set_constraint(TRAINABLE, 1.0)
            self.study.tell(trial, state=TrialState.PRUNED)

    def attach(self, trial: Trial, trial_id: str) -> None:
        """Link an Optuna trial to a trial of the run."""
        self._running[trial_id] = trial
        with storage_errors(self._remedy):
            trial.set_user_attr(TRIAL_ID, trial_id)

    def resume(self, trial_id: str) -> None:
        """Mark a waiting trial of the run as running."""
        with storage_errors(self._remedy):
            (waiting,) = (
                trial
                for trial in self._trials(TrialState.WAITING)
                if trial.user_attrs.get(TRIAL_ID) == trial_id
            )
            self._running[trial_id] = self._run(waiting)

    def requeue(self, trial_id: str) -> None:
        """Mark an interrupted trial of the run as waiting until `resume`."""
        with storage_errors(self._remedy):
            self._requeue(self._running.pop(trial_id)._trial_id)

    def tell(
        self, result: TrialResult, reports: Sequence[Report], cost: float | None = None
    ) -> None:
        """Record how a trial of the run ended.

        Args:
            result: result of the trial.
            reports: all of its reports.
            cost: training seconds to its end; None if unknown.
        """
        with self._guard():
            trial = self._running.pop(result.trial_id)
            if cost is not None:
                trial.set_user_attr(COST, cost)
            self._tell(trial, result, reports)

    def reconcile(
        self,
        specs: Sequence[TrialSpec],
        results: Mapping[str, TrialResult],
        reports_of: Callable[[str], Sequence[Report]],
    ) -> None:
        """Update the study from the run directory after an interruption.

        Adds missing trials, tells the results of finished ones, requeues unfinished ones, and
        requeues proposals that never became a trial of the run.

        Args:
            specs: all trials of the run.
            results: results of the finished trials, by trial id.
            reports_of: returns the reports of a trial id.
        """
        with storage_errors(self._remedy):
            known = {t.user_attrs[TRIAL_ID]: t for t in self._trials() if TRIAL_ID in t.user_attrs}
            loose = [t for t in self._trials(TrialState.RUNNING) if TRIAL_ID not in t.user_attrs]
            for spec in specs:
                result = results.get(spec.trial_id)
                frozen = known.get(spec.trial_id)
                if frozen is None:
                    # killed after writing config.json and before `attach`
                    same = [trial for trial in loose if _matches(trial, spec)]
                    frozen = same[0] if same else self._add(spec)
                    self._storage.set_trial_user_attr(frozen._trial_id, TRIAL_ID, spec.trial_id)
                    loose = [trial for trial in loose if trial is not frozen]
                if frozen.state.is_finished():
                    if result is None:  # a user deleted its result to run it again
                        self._requeue(self._add(spec)._trial_id)
                elif result is not None:
                    with self._guard():
                        self._tell(self._run(frozen), result, reports_of(spec.trial_id))
                else:
                    self._requeue(frozen._trial_id)
            for trial in loose:
                self._requeue(trial._trial_id)
        self.__dict__.pop("_coverage", None)  # it may have been read before

    def warm_start(self, results: Iterable[PriorResult]) -> None:
        """Add the results of earlier runs; do nothing if the study already has them."""
        with storage_errors(self._remedy):
            if _WARM_STARTED in self.study.user_attrs:
                return
            added = {trial.user_attrs.get(PRIOR_SOURCE) for trial in self._trials()}
            for result in results:
                if result.source not in added:
                    self.study.add_trial(result.to_trial(self.space))
            self.study.set_user_attr(_WARM_STARTED, True)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        with storage_errors(self._remedy), sampler_errors(partial(setattr, self, "failure")):
            yield

    def _prepare_proposal(self, attempt: int, spent: float) -> None:
        """Set the sampler of a proposal, or enqueue an untried point for it."""
        trials = self._trials()
        waiting = next((t.number for t in trials if t.state is TrialState.WAITING), None)
        number = len(trials) if waiting is None else waiting
        self.study.sampler = self._samplers.sampler(number, spent)
        repeats = attempt >= MAX_REPEATS and not self._samplers.has_own_points
        if waiting is None and (self._samplers.is_grid or repeats):
            seed = self._samplers.seed_of(number)
            if (point := self._coverage.draw_untried(seed)) is not None:
                self.study.enqueue_trial(point)
            else:
                self.study.sampler = RandomSampler(seed)

    @cached_property
    def _coverage(self) -> Coverage:
        """The tried points, without those of a warm start and of lost proposals."""
        with storage_errors(self._remedy):
            return Coverage(
                self.space,
                (
                    trial.params
                    for trial in self._trials()
                    if PRIOR_SOURCE not in trial.user_attrs
                    and (TRIAL_ID in trial.user_attrs or trial.state.is_finished())
                ),
            )

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states or None)

    def _add(self, spec: TrialSpec) -> FrozenTrial:
        """Add a running Optuna trial for a trial of the run directory."""
        params = {name: value for name, value in spec.params.items() if name in self.space.names}
        self.study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                system_attrs={"fixed_params": params},
                user_attrs={TRIAL_ID: spec.trial_id},
            )
        )
        frozen = self._trials()[-1]
        self.space.sample(Trial(self.study, frozen._trial_id))
        return self._trials()[-1]

    def _run(self, frozen: FrozenTrial) -> Trial:
        if frozen.state is TrialState.WAITING:
            self._storage.set_trial_state_values(frozen._trial_id, state=TrialState.RUNNING)
        return Trial(self.study, frozen._trial_id)

    def _requeue(self, study_trial_id: int) -> None:
        self._storage.set_trial_state_values(study_trial_id, state=TrialState.WAITING)

    def _tell(self, trial: Trial, result: TrialResult, reports: Sequence[Report]) -> None:
        if result.values is not None:
            trial.set_constraint(TRAINABLE, 0.0)
            if len(self.objective.directions) == 1:  # Optuna stores no curves for several
                for step, accuracy in intermediate_values(reports, self._instants).items():
                    trial.report(accuracy, step)
            if self.objective.prunes and result.outcome is Outcome.STOPPED:
                self.study.tell(trial, state=TrialState.PRUNED)
            else:
                self.study.tell(trial, result.values)
        elif result.outcome in (Outcome.DIVERGED, Outcome.OUT_OF_MEMORY):
            # a violated constraint keeps the sampler away without counting as a measurement
            trial.set_constraint(TRAINABLE, 1.0)
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, state=TrialState.FAIL)


def _matches(trial: FrozenTrial, spec: TrialSpec) -> bool:
    # spec.params also has the fixed parameters
    return all(
        name in spec.params and spec.params[name] == value for name, value in trial.params.items()
    )
