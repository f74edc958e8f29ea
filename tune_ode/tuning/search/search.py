"""A search as a state machine: what to try next, what to do with a report, when to end.

Ray drives it through `ray_engine`; nothing here knows Ray, so tests drive it in-process. It is
called from one thread; a display may read its attributes from another.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from search_spaces import configure
from tune_ode.config import TrialConfig
from tune_ode.errors import ConfigurationError, TuneOdeError
from tune_ode.records import STACK, Outcome, Report, TrialSpec
from tune_ode.runs.folder import RunFolder
from tune_ode.tuning.contention.concurrency import ConcurrencyTracker
from tune_ode.tuning.search.asha import AshaScheduler, SchedulerName
from tune_ode.tuning.search.limits import MAX_CRASHES, Budget
from tune_ode.tuning.search.trials import RunningTrial, TrialTable
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.worker.spec import WorkerSpec
from tune_ode.worker.task import Task, TrialEnd

PROPOSALS_IN_A_ROW = 100
"""When so many are no valid configuration, one after the other, the space is at fault."""
FAILURES_THAT_END_A_SEARCH = 5
"""When this many trials, the first ones, all ended for one reason before anything was measured, the
rest would too: the first of them is the default configuration."""
_BAD = (Outcome.FAILED, Outcome.OUT_OF_MEMORY, Outcome.DIVERGED)


class Search:
    """One search, new or continued; the folder is the truth and everything else follows from it."""

    def __init__(
        self,
        folder: RunFolder,
        proposals: StudyAdapter,
        base: TrialConfig,
        limits: Budget,
        workplace: WorkerSpec,
        *,
        scheduler: SchedulerName = "seconds",
        start_points: Sequence[Mapping[str, Any]] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take up what the folder holds: rungs, finished trials, interrupted ones.

        Args:
            folder: the open run folder.
            proposals: the study over the same space.
            base: what a proposal's values are set on.
            limits: when to end.
            workplace: where trials run.
            scheduler: where trials are compared, and the bad ones stopped.
            start_points: tried first, then the default configuration; each once in the run's life.
            clock: Unix seconds; the only clock this class reads.
        """
        self._folder = folder
        self._study = proposals
        self._base = base
        self._worker = workplace
        self._clock = clock
        self.budget = limits
        self.started = clock()
        self.seconds_before = folder.manifest.seconds
        self._start_seconds: float | None = None
        self._proposal_seconds = folder.manifest.proposal_seconds
        self.stop_reason: str | None = None
        """Why the search ends before its number of trials, or None."""
        self.failed = False
        """Whether it ends because something is wrong."""
        self.waiting: str | None = None
        """What trials wait for, where none of them can run."""
        self._closed = False
        self._table = TrialTable(folder, clock, gpus=workplace.gpus)
        self.running = self._table.running
        self.results = self._table.results
        self._concurrency = ConcurrencyTracker()
        self.best: tuple[float, str] | None = None
        """Best validation accuracy so far and its trial."""
        self.scheduler = AshaScheduler.create(scheduler, limits.trial_seconds)
        self._best_of: dict[str, float] = {}
        self._restore()
        proposals.enqueue([*start_points, proposals.space.point(base)])

    # --- what the engine asks ---------------------------------------------------------------

    @property
    def resume_hint(self) -> str:
        """The command that continues it, for a message."""
        return f"to continue: {self._folder.resume_command}"

    def has_work(self) -> bool:
        """Return whether any trial is left to start."""
        return self.limit_reached() is None and (
            bool(self._table.unfinished)
            or self.budget.trials is None
            or self._table.count < self.budget.trials
        )

    def limit_reached(self) -> str | None:
        """Return why the search is at its end whatever is left to try, on a resume too, or None."""
        limits = self.budget
        if self._on_target():
            assert self.best is not None
            return f"trial {self.best[1]} reached a validation accuracy of {self.best[0]:.4f}"
        if limits.gpu_seconds is not None and self.gpu_seconds() >= limits.gpu_seconds:
            return "the GPU hours are used up"
        return None

    def next_task(self) -> Task | None:
        """Return the next trial to start, or None when no more are to come."""
        if self.should_stop() or not self.has_work():
            return None
        if self._table.unfinished:
            setup = self._table.unfinished[0]
            trial = self._table.next_attempt(setup)
            self._study.resume(setup.trial_id)
        else:
            setup = self._propose()
            trial = self._table.first_attempt(setup)
        self._table.mark_running(trial)
        return Task(
            trial_id=setup.trial_id,
            attempt=trial.attempt,
            config=setup.config,
            run_folder=self._folder.address,
            data_dir=self._worker.data_dir,
            device=self._worker.device,
            threads=self._worker.threads,
            gpus=self._worker.gpus,
            memory_bytes=self._worker.memory_bytes,
            report_timeout=self.budget.report_timeout,
            budget_seconds=self.budget.trial_seconds,
            report_instants=self.scheduler.milestones,
        )

    def on_report(self, line: Report) -> bool:
        """Write a report line down; return whether its trial may go on."""
        trial = self.running[line.trial_id]
        if any(same.epoch == line.epoch for same in trial.reports if same.attempt == line.attempt):
            return True  # a resumed trial says its checkpoint's line again, in case it was lost
        now = self._clock()
        beside = self._concurrency.report(line.trial_id, line.node, now)
        # stamped on arrival: in this order a replay makes the same decisions
        line = dataclasses.replace(
            line,
            timestamp=now,
            concurrent_trials=self._concurrency.on(line.node),
            mean_concurrent_trials=beside,
        )
        self._folder.append(line)
        trial.reports.append(line)
        reason = self._record(line, trial.spec)
        target = self.budget.target_accuracy
        if target is not None and (line.val_accuracy or 0.0) >= target:
            reason = "reached the target accuracy"
        if reason is not None:
            done = self._is_last_report(line, trial.spec)
            outcome = Outcome.COMPLETED if done else Outcome.STOPPED
            self.on_end(line.trial_id, TrialEnd(outcome=outcome, reason=reason))
        return reason is None

    def on_end(self, trial_id: str, ending: TrialEnd) -> None:
        """Write down how a trial ended, then tell the sampler."""
        trial = self.running[trial_id]
        outcome = self._table.finish(trial, ending, self._values(trial, ending))
        # only now: what could not be written is still running, and is interrupted by `close`
        self._remove_running(trial_id)
        if outcome.outcome is Outcome.INTERRUPTED:
            self._study.requeue(trial_id)
        else:
            self._study.tell(outcome, trial.curve, self._cost(trial))
        if ending.outcome is Outcome.INTERRUPTED and self.stop_reason is None:
            self.stop(ending.reason, failed=True)
        self._stop_if_nothing_works()

    def on_start(self, trial_id: str) -> None:
        """Take note that a trial has found its place, and works from now on."""
        trial = self.running[trial_id]
        trial.started = self._clock()
        trial.started_running = True
        if self._start_seconds is None:
            self._start_seconds = trial.started - self.started
        self._concurrency.begin(trial_id, trial.started)

    def on_worker_lost(self, trial_id: str, *, with_node: bool = False) -> None:
        """Take note that a trial's process died: it goes on from its last checkpoint.

        After `MOST_LOSSES` times it fails, and the search goes on without it. So it does at once
        where it was stuck: it would be again.

        Args:
            trial_id: the trial.
            with_node: whether its node went, as those of a cloud's spot market do: that is no
                fault of the trial's.
        """
        trial = self.running[trial_id]
        stack = self._folder.hang_stack(trial_id)
        if stack is not None:
            reason = f"no report for {self.budget.report_timeout:g} s; {STACK} shows where it hung"
            self.on_end(trial_id, TrialEnd(outcome=Outcome.FAILED, reason=reason, traceback=stack))
            return
        if self.stop_reason is not None:
            return  # told to stop, it left: `close` says that it was interrupted
        trial.crashes += not with_node
        if trial.crashes > MAX_CRASHES:
            self.on_end(trial_id, _lost(f"its process died {trial.crashes} times"))
            return
        died = "its process died: killed, or out of the machine's memory"
        if with_node:
            died = "its node left"
        self._table.finish(trial, TrialEnd(outcome=Outcome.INTERRUPTED, reason=died), None)
        self._remove_running(trial_id)
        self._table.requeue(trial.spec)
        self._study.requeue(trial_id)

    def should_stop(self) -> bool:
        """Return whether everything is to stop now."""
        if self.stop_reason is None:
            reason = self.limit_reached()
            if self.budget.seconds is not None and self.elapsed() >= self.budget.seconds:
                reason = reason or "the time budget is used up"
            if reason is not None:
                self.stop(reason)
        return self.stop_reason is not None

    def stop(self, reason: str, *, failed: bool = False) -> None:
        """Ask all trials to save their state and end; safe in a signal handler."""
        if self.stop_reason is None:
            self.stop_reason = reason
            self.failed = failed
            self._folder.set_stop_flag()

    def close(self) -> None:
        """End the search, once: what still runs is interrupted, and can be resumed."""
        if self._closed:
            return
        self._closed = True
        failure: TuneOdeError | None = None
        for trial_id in list(self.running):
            try:
                interrupted = TrialEnd(outcome=Outcome.INTERRUPTED, reason=self.stop_reason or "")
                self.on_end(trial_id, interrupted)
            except TuneOdeError as error:  # a full disk, or a database that has gone
                failure = failure or error
        open_ends = bool(self._table.unfinished or self.running) or any(
            outcome.outcome is Outcome.INTERRUPTED for outcome in self.results.values()
        )
        more_to_come = self.budget.trials is not None and self.has_work()
        # who asked for an accuracy has it, though other trials were cut off on the way
        unfinished = (open_ends or more_to_come) and not self._on_target()
        self._folder.update(
            state="interrupted" if unfinished else "finished",
            seconds=self.seconds_before + self.elapsed(),
            start_seconds=self._start_seconds,
            proposal_seconds=self._proposal_seconds,
        )
        self._folder.clear_stop_flag()
        if failure is not None:
            raise failure

    def elapsed(self) -> float:
        """Wall-clock seconds since this start."""
        return self._clock() - self.started

    def gpu_seconds(self) -> float:
        """GPUs × wall-clock seconds that trials held them, over all resumes."""
        return self._table.gpu_seconds()

    # --- inside -----------------------------------------------------------------------------

    def _restore(self) -> None:
        self._folder.clear_stop_flag()
        trials, lines = self._table.read()
        setups = {setup.trial_id: setup for setup in trials}
        stopped: dict[str, str] = {}
        for line in lines:
            reason = self._record(line, setups[line.trial_id])
            if reason is not None:
                stopped[line.trial_id] = reason
        for setup in list(self._table.unfinished):
            trial = self._table.last_attempt(setup)
            if setup.trial_id in stopped:
                # the driver died between the report that stops this trial and its outcome
                ending = TrialEnd(outcome=Outcome.STOPPED, reason=stopped[setup.trial_id])
            elif trial.crashes > MAX_CRASHES:
                ending = _lost(f"its process, or the search with it, died {trial.crashes} times")
            else:
                continue
            self._table.finish(trial, ending, self._values(trial, ending))
        self._study.reconcile(trials, self.results, self._folder.reports)

    def _values(self, trial: RunningTrial, ending: TrialEnd) -> Sequence[float] | None:
        if ending.outcome not in (Outcome.COMPLETED, Outcome.STOPPED):
            return None
        return self._study.objective.values(trial.curve, self.budget.trial_seconds)

    def _remove_running(self, trial_id: str) -> None:
        del self.running[trial_id]
        self._concurrency.end(trial_id, self._clock())

    def _propose(self) -> TrialSpec:
        began = self._clock()
        # a space is tried out before a search, but not at every point of it
        for attempt in range(PROPOSALS_IN_A_ROW):
            trial, params = self._study.ask(self._spent())
            try:
                config = configure(self._base, params)
                break
            except ConfigurationError:
                self._study.reject(trial)
                if attempt == PROPOSALS_IN_A_ROW - 1:
                    raise
        self._proposal_seconds += self._clock() - began
        # a seed of its own for each trial: a search must not find what suits one seed
        config = config.model_copy(update={"seed": self._base.seed + self._table.count})
        setup = self._folder.add_trial(config.to_dict(), params, self._clock())
        self._study.attach(trial, setup.trial_id)
        return setup

    def _record(self, line: Report, setup: TrialSpec) -> str | None:
        """Take a line into the best and the rungs; return why its trial is to be stopped, if so."""
        if line.val_accuracy is None:
            return None
        if self.best is None or line.val_accuracy > self.best[0]:
            self.best = (line.val_accuracy, line.trial_id)
        best = max(self._best_of.get(line.trial_id, 0.0), line.val_accuracy)
        self._best_of[line.trial_id] = best
        reason = self.scheduler.on_report(line, best)
        # a rung that stands at a trial's end is recorded, but there is nothing to stop
        return None if self._is_last_report(line, setup) else reason

    def _is_last_report(self, line: Report, setup: TrialSpec) -> bool:
        """Return whether a line is its trial's last."""
        budget = self.budget.trial_seconds
        over_budget = budget is not None and line.train_seconds >= budget
        return over_budget or line.epoch >= setup.config["training"]["epochs"]

    def _cost(self, trial: RunningTrial) -> float | None:
        """Return the training seconds that a trial takes if nothing stops it before its end."""
        if not trial.reports or trial.reports[-1].epoch <= 0:
            return None
        last = trial.reports[-1]
        whole = float(last.train_seconds * trial.spec.config["training"]["epochs"] / last.epoch)
        budget = self.budget.trial_seconds
        return whole if budget is None else min(whole, budget)

    def _spent(self) -> float:
        """Return the share of the search's budget that is spent."""
        limits, shares = self.budget, [0.0]
        if limits.trials is not None:
            shares.append(self._table.count / limits.trials)
        if limits.seconds is not None:
            shares.append(self.elapsed() / limits.seconds)
        return min(max(shares), 1.0)

    def _on_target(self) -> bool:
        target = self.budget.target_accuracy
        return target is not None and self.best is not None and self.best[0] >= target

    def _stop_if_nothing_works(self) -> None:
        if len(self.results) != FAILURES_THAT_END_A_SEARCH or self.best is not None:
            return
        ends = list(self.results.values())
        # how many bytes there were, or in which epoch it was, is no other reason
        kinds = {(end.outcome, re.sub(r"\d[\d.]*", "#", end.reason)) for end in ends}
        if len(kinds) == 1 and ends[0].outcome in _BAD:
            self.stop(
                f"the first {len(ends)} trials all ended as {ends[0].outcome}: {ends[0].reason}",
                failed=True,
            )


def _lost(reason: str) -> TrialEnd:
    why = "killed, or out of the machine's memory"
    return TrialEnd(outcome=Outcome.FAILED, reason=f"{reason}: {why}")
