"""A search as a state machine: which trial to start next, what to do with a report, when to stop.

`ray_backend.engine` and `local_backend` drive it; it uses neither Ray nor torch. All methods are
called from one thread; a display may read the attributes from another.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tune_ode.config import TrialConfig
from tune_ode.config.data import relocated
from tune_ode.errors import TuneOdeError
from tune_ode.process.clock import steady_clock
from tune_ode.records import SEARCH_ENDED, Outcome, Report, TrialSpec
from tune_ode.runs.folder import RunFolder
from tune_ode.tuning.contention.concurrency import ConcurrencyTracker
from tune_ode.tuning.search.asha import AshaScheduler, SchedulerName
from tune_ode.tuning.search.crashes import KILLED, Crash, after_crash, after_hang
from tune_ode.tuning.search.limits import Budget
from tune_ode.tuning.search.progress import INTERRUPTED, BestTrial, Progress
from tune_ode.tuning.search.stopping import common_failure
from tune_ode.tuning.search.trials import RunningTrial, TrialTable
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.tuning.study.proposals import propose
from tune_ode.worker.spec import WorkerSpec
from tune_ode.worker.task import Task, TrialEnd


class Search:
    """A new or resumed search; the run directory is the single source of truth."""

    def __init__(
        self,
        folder: RunFolder,
        study: StudyAdapter,
        base: TrialConfig,
        budget: Budget,
        worker: WorkerSpec,
        *,
        scheduler: SchedulerName = "seconds",
        start_points: Sequence[Mapping[str, Any]] = (),
        new_budget: bool = True,
        clock: Callable[[], float] | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Restore rungs, finished trials and unfinished ones from the run directory.

        Args:
            folder: the open run directory.
            study: proposes points of the space.
            base: the configuration that proposed values are set on.
            budget: limits of the search and of each trial.
            worker: resources of a trial.
            scheduler: unit of the rungs at which bad trials are stopped.
            start_points: tried first, then `base`; each once in the life of the run.
            new_budget: whether the time budget starts now; else earlier starts have used some.
            clock: Unix seconds; the only clock that this class reads. None: `steady_clock`.
            say: called with one line if a trial starts over.
        """
        self._folder, self.run_path = folder, folder.path
        self._study = study
        self._base = base
        self._worker = worker
        self._clock = clock = clock or steady_clock()
        self.budget = budget
        self._progress = Progress(
            budget, study.objective.directions, folder.manifest, clock, new_budget=new_budget
        )
        self.stop_reason: str | None = None
        """Why the search ends before its number of trials, or None."""
        self.failed = False
        """Whether it ends because of an error."""
        self._limited = False  # whether it ends because it reached a limit: it is finished then
        self.resume_hint = f"to continue: {folder.resume_command}"
        self.waiting: str | None = None
        """Resources that trials wait for, if none of them can run."""
        self.scheduler = AshaScheduler.create(scheduler, budget.trial_seconds)
        self._instants = budget.report_instants
        self.on_recorded: Callable[[Report], object] = lambda report: None  # may be replaced
        self._table = TrialTable(folder, clock, gpus=worker.gpus, say=say)
        self.running, self.results = self._table.running, self._table.results
        self._concurrency = ConcurrencyTracker()
        self._closed = False
        self._restore()
        study.enqueue([*start_points, study.space.point(base)])

    @property
    def best(self) -> BestTrial | None:
        """The most accurate trial so far; displays name the best by rate."""
        return self._progress.best

    def has_work(self) -> bool:
        """Return whether there are trials left to start."""
        may_propose = self.budget.wants_more(self._table.count) and self._study.ended is None
        return self.limit_reached() is None and (bool(self._table.unfinished) or may_propose)

    def limit_reached(self) -> str | None:
        """Return the limit, other than the time budget, that the search has reached, or None."""
        return self._progress.limit_reached(self.gpu_seconds())

    def end_reason(self) -> str | None:
        """Return why the search ends, or ended, before its number of trials, or None."""
        early = self.budget.wants_more(self._table.count)
        return self.stop_reason or (early and (self.limit_reached() or self._study.ended)) or None

    def next_task(self) -> Task | None:
        """Return the next trial to start, or None if no trial is to be started now."""
        if self.should_stop() or not self.has_work():
            return None
        if self._table.unfinished:
            trial = self._table.next_attempt(self._table.unfinished[0])
            self._study.resume(trial.spec.trial_id)
        elif (spec := self._propose()) is not None:
            trial = RunningTrial(spec=spec, attempt=1, crashes=0, started=self._clock())
        else:
            return None
        self._table.mark_running(trial)
        return Task(
            trial_id=trial.spec.trial_id,
            attempt=trial.attempt,
            config=relocated(trial.spec.config, self._base.data.dataset),
            run_folder=self._folder.address,
            report_timeout=self.budget.report_timeout,
            budget_seconds=self.budget.trial_seconds,
            report_instants=self._instants,
            **vars(self._worker),
        )

    def on_start(self, trial_id: str) -> None:
        """Record that a worker has started a trial, which may have waited for resources."""
        trial = self.running[trial_id]
        trial.started = self._clock()
        trial.has_worker = True
        self._progress.on_start()
        self._concurrency.start(trial_id, trial.started)

    def on_report(self, report: Report) -> bool:
        """Write a report; return whether its trial continues."""
        trial = self.running[report.trial_id]
        trial.spec = self._folder.fix_horizon(trial.spec, report.horizon)
        if any((old.epoch, old.attempt) == (report.epoch, report.attempt) for old in trial.reports):
            return True  # a resumed trial repeats the report of its checkpoint, in case it was lost
        now = self._clock()
        mean_concurrent = self._concurrency.report(report.trial_id, report.node, now)
        # stamped on arrival: a replay in this order makes the same decisions
        report = dataclasses.replace(
            report,
            timestamp=now,
            sequence=self._table.next_sequence(),
            concurrent_trials=self._concurrency.count(report.node),
            mean_concurrent_trials=mean_concurrent,
        )
        self._folder.append(report)
        trial.reports.append(report)
        reason = self._record(report)
        self.on_recorded(report)
        if reason is None:
            return True
        last = self.budget.is_last_report(report)
        outcome = Outcome.COMPLETED if last else Outcome.STOPPED
        self.on_end(report.trial_id, TrialEnd(outcome=outcome, reason=reason))
        return False

    def on_end(self, trial_id: str, end: TrialEnd) -> None:
        """Write the result of a trial, then report it to the sampler."""
        trial = self.running[trial_id]
        if self._limited and end.outcome is Outcome.INTERRUPTED and not end.reason:
            end = TrialEnd(outcome=Outcome.STOPPED, reason=SEARCH_ENDED)
        result = self._table.finish(trial, end, self._values(trial, end))
        self._concurrency.end(trial_id, self._clock())
        if result.can_resume:
            self._study.requeue(trial_id)
            if not self._limited:
                self.stop(end.reason, failed=True)
        else:
            self._progress.improvement.add(result.values)
            cost = self.budget.full_training_seconds(trial.reports)
            self._study.tell(result, trial.curve, cost)
        if self.best is None and (failure := common_failure(self.results.values())):
            self.stop(failure, failed=True)

    def on_worker_lost(self, trial_id: str, crash: Crash = KILLED) -> None:
        """Requeue a trial whose process died; it continues from its last checkpoint.

        It ends after more than `MAX_CRASHES` crashes, and at once if it was hanging. The loss of
        its node is not counted.
        """
        trial = self.running[trial_id]
        stack = self._folder.hang_stack(trial_id)
        if stack is not None:
            self.on_end(trial_id, after_hang(stack, self.budget.report_timeout))
            return
        if self.stop_reason is not None:
            return  # it was asked to stop; `close` marks it as interrupted
        trial.crashes += not crash.with_node
        end = after_crash(trial.crashes, crash)
        if end.outcome is not Outcome.INTERRUPTED:
            self.on_end(trial_id, end)
            return
        self._table.finish(trial, end, None)
        self._concurrency.end(trial_id, self._clock())
        self._table.requeue(trial.spec)
        self._study.requeue(trial_id)

    def should_stop(self) -> bool:
        """Return whether all trials are to stop now."""
        if self._study.failure is not None:
            self.stop(self._study.failure, failed=True)
        if self.stop_reason is None:
            reason = self.limit_reached() or self._progress.out_of_time()
            if reason is not None:
                self.stop(reason)
                self._limited = self.stop_reason is reason  # not interrupted in between
        return self.stop_reason is not None

    def stop(self, reason: str, *, failed: bool = False) -> None:
        """Ask all trials to save a checkpoint and end; safe to call in a signal handler."""
        if self.stop_reason is None:
            self.stop_reason = reason
            self.failed = failed
            self._folder.set_stop_flag()

    def close(self) -> None:
        """End the search, once; trials that still run can be resumed."""
        if self._closed:
            return
        self._closed = True
        failure: TuneOdeError | None = None
        for trial_id in list(self.running):
            try:
                reason = "" if self._limited else self.stop_reason or ""
                self.on_end(trial_id, TrialEnd(outcome=Outcome.INTERRUPTED, reason=reason))
            except TuneOdeError as error:  # a full disk, or a database that is gone
                failure = failure or error
        # a search that reached a limit is finished, although trials were cut off
        finished = self._limited or not (self._table.can_resume or self.has_work())
        if finished and self.stop_reason == INTERRUPTED:
            self.stop_reason = None
        self.stop_reason = self.end_reason()
        self._folder.update(
            state="finished" if finished else "interrupted",
            stop_reason=self.stop_reason,
            **self._progress.manifest_fields(),
        )
        self._folder.clear_stop_flag()
        if failure is not None:
            raise failure

    def elapsed(self) -> float:
        """Return wall-clock seconds since the search was started or resumed."""
        return self._progress.elapsed()

    def gpu_seconds(self) -> float:
        """Return GPUs × wall-clock seconds that trials held them, over all resumes."""
        return self._table.gpu_seconds()

    def _restore(self) -> None:
        self._folder.clear_stop_flag()
        specs, reports = self._table.read()
        stopped = {
            report.trial_id: reason for report in reports if (reason := self._record(report))
        }
        for spec in list(self._table.unfinished):
            trial = self._table.last_attempt(spec)
            if spec.trial_id in stopped:
                # the driver died between the report that stops this trial and its result
                end = TrialEnd(outcome=Outcome.STOPPED, reason=stopped[spec.trial_id])
            else:
                end = after_crash(trial.crashes, died="its process, or the search with it,")
            if end.outcome is not Outcome.INTERRUPTED:
                self._table.finish(trial, end, self._values(trial, end))
        for result in sorted(self.results.values(), key=lambda result: result.ended):
            self._progress.improvement.add(result.values)
        self._study.reconcile(specs, self.results, self._folder.reports)

    def _values(self, trial: RunningTrial, end: TrialEnd) -> Sequence[float] | None:
        if end.outcome not in (Outcome.COMPLETED, Outcome.STOPPED) or end.reason == SEARCH_ENDED:
            return None
        return self._study.objective.values(trial.curve, self.budget.trial_seconds)

    def _propose(self) -> TrialSpec | None:
        spent = self.budget.spent(self._table.count, self._progress.budget_seconds_used())
        with self._progress.proposing():
            proposal = propose(self._study, self._base, spent)
        if proposal is None:
            return None
        # each trial has another seed, so that a search does not find what suits one seed
        config = proposal.config.model_copy(update={"seed": self._base.seed + self._table.count})
        spec = self._folder.add_trial(config.to_dict(), proposal.params, self._clock())
        self._study.attach(proposal.trial, spec.trial_id)
        return spec

    def _record(self, report: Report) -> str | None:
        """Update the best accuracy and the rungs; return why the trial is to stop, or None."""
        reason = self.scheduler.on_report(report, last=self.budget.is_last_report(report))
        reached = self._progress.on_report(report, self._folder.manifest.validation_images)
        return "reached the target accuracy" if reached else reason
