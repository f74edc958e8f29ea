"""A search as a state machine: what to try next, what to do with a report, when to end.

Ray drives it through `ray_engine`; nothing here knows Ray, so tests drive it in-process. It is
called from one thread; a display may read its attributes from another.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from search_spaces import configure
from tune_ode.config import TrialConfig
from tune_ode.records import Outcome, ReportLine, TrialOutcome, TrialSetup
from tune_ode.tuning.objective import anytime_value
from tune_ode.tuning.proposals import Proposals
from tune_ode.tuning.run_folder import RunFolder
from tune_ode.tuning.rungs import Rungs, rung_seconds
from tune_ode.tuning.task import Ending, Task
from tune_ode.tuning.terms import Limits, Workplace

FAILURES_THAT_END_A_SEARCH = 5
"""When this many trials, the first ones, all failed for one reason, the rest would too."""


@dataclass
class RunningTrial:
    """A trial between its start and its end."""

    setup: TrialSetup
    attempt: int
    started: float
    lines: list[ReportLine] = field(default_factory=list)

    @property
    def best_accuracy(self) -> float | None:
        """Best validation accuracy so far."""
        return max(
            (line.val_accuracy for line in self.lines if line.val_accuracy is not None),
            default=None,
        )


class Search:
    """One search, new or continued; the folder is the truth and everything else follows from it."""

    def __init__(
        self,
        folder: RunFolder,
        proposals: Proposals,
        base: TrialConfig,
        limits: Limits,
        workplace: Workplace,
        *,
        early_stopping: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take up what the folder holds: rungs, finished trials, interrupted ones.

        Args:
            folder: the open run folder.
            proposals: the study over the same space.
            base: what a proposal's values are set on.
            limits: when to end.
            workplace: where trials run.
            early_stopping: whether bad trials are stopped at rungs.
            clock: Unix seconds; the only clock this class reads.
        """
        self._folder = folder
        self._proposals = proposals
        self._base = base
        self._workplace = workplace
        self._clock = clock
        self.limits = limits
        self.started = clock()
        self.seconds_before = folder.manifest.seconds
        self.stop_reason: str | None = None
        """Why the search ends before its number of trials, or None."""
        self.failed = False
        """Whether it ends because something is wrong."""
        self.running: dict[str, RunningTrial] = {}
        self.outcomes: dict[str, TrialOutcome] = {}
        self.best: tuple[float, str] | None = None
        """Best validation accuracy so far and its trial."""
        self._instants: tuple[float, ...] = ()
        if early_stopping and limits.trial_seconds is not None:
            self._instants = rung_seconds(limits.trial_seconds)
        self.rungs = Rungs(self._instants)
        self._best_of: dict[str, float] = {}
        self._unfinished: list[TrialSetup] = []
        self._take_up()

    # --- what the engine asks ---------------------------------------------------------------

    def has_work(self) -> bool:
        """Return whether any trial is left to start."""
        return (
            bool(self._unfinished)
            or self.limits.trials is None
            or (self._count() < self.limits.trials)
        )

    def next_task(self) -> Task | None:
        """Return the next trial to start, or None when no more are to come."""
        if self.over() or not self.has_work():
            return None
        if self._unfinished:
            setup = self._unfinished.pop(0)
            self._proposals.repeat(setup.trial_id, setup.params)
        else:
            setup = self._propose()
        trial = self._begin(setup)
        self.running[setup.trial_id] = trial
        return Task(
            trial_id=setup.trial_id,
            attempt=trial.attempt,
            config=setup.config,
            run_folder=str(self._folder.path),
            data_dir=self._workplace.data_dir,
            device=self._workplace.device,
            threads=self._workplace.threads,
            budget_seconds=self.limits.trial_seconds,
            report_at=self._instants,
        )

    def report(self, line: ReportLine) -> bool:
        """Write a report line down; return whether its trial may go on."""
        trial = self.running[line.trial_id]
        if any(same.epoch == line.epoch for same in trial.lines if same.attempt == line.attempt):
            return True  # a resumed trial says its checkpoint's line again, in case it was lost
        neighbours = sum(
            1
            for other in self.running.values()
            if not other.lines or other.lines[-1].node == line.node
        )
        # stamped on arrival: in this order a replay makes the same decisions
        line = dataclasses.replace(line, timestamp=self._clock(), concurrent_trials=neighbours)
        self._folder.append(line)
        trial.lines.append(line)
        rung = self._note(line)
        if rung is not None:
            self.end(line.trial_id, _stopped_at(rung))
        return rung is None

    def end(self, trial_id: str, ending: Ending) -> None:
        """Write down how a trial ended, then tell the sampler."""
        outcome = self._conclude(self.running[trial_id], ending)
        self._proposals.tell(outcome)
        # only now: what fails above is still running, and is interrupted by `close`
        del self.running[trial_id]
        if ending.outcome is Outcome.INTERRUPTED and self.stop_reason is None:
            self.stop(ending.reason, failed=True)
        self._stop_if_nothing_works()

    def over(self) -> bool:
        """Return whether everything is to stop now."""
        if (
            self.stop_reason is None
            and self.limits.seconds is not None
            and self.elapsed() >= self.limits.seconds
        ):
            self.stop("the time budget is used up")
        return self.stop_reason is not None

    def stop(self, reason: str, *, failed: bool = False) -> None:
        """Ask all trials to save their state and end; safe in a signal handler."""
        if self.stop_reason is None:
            self.stop_reason = reason
            self.failed = failed
            self._folder.raise_stop()

    def close(self) -> None:
        """End the search: what still runs is interrupted, and can be resumed."""
        for trial_id in list(self.running):
            self.end(trial_id, Ending(outcome=Outcome.INTERRUPTED, reason=self.stop_reason or ""))
        open_ends = any(o.outcome is Outcome.INTERRUPTED for o in self.outcomes.values())
        more_to_come = self.limits.trials is not None and self.has_work()
        self._folder.update(
            state="interrupted" if open_ends or more_to_come else "finished",
            seconds=self.seconds_before + self.elapsed(),
        )
        self._folder.lower_stop()

    def elapsed(self) -> float:
        """Wall-clock seconds since this start."""
        return self._clock() - self.started

    # --- inside -----------------------------------------------------------------------------

    def _take_up(self) -> None:
        self._folder.lower_stop()
        setups = self._folder.setups()
        lines: list[ReportLine] = []
        for setup in setups:
            outcome = self._folder.outcome(setup.trial_id)
            if outcome is not None and outcome.outcome is not Outcome.INTERRUPTED:
                self.outcomes[setup.trial_id] = outcome
            lines += self._folder.lines(setup.trial_id)
        stopped_at: dict[str, float] = {}
        for line in sorted(lines, key=lambda line: line.timestamp):
            rung = self._note(line)
            if rung is not None:
                stopped_at[line.trial_id] = rung
        for setup in setups:
            if setup.trial_id in self.outcomes:
                continue
            if setup.trial_id in stopped_at:
                # the driver died between the report that stops this trial and its outcome
                self._conclude(self._begin(setup), _stopped_at(stopped_at[setup.trial_id]))
            else:
                self._unfinished.append(setup)
        self._proposals.reconcile(self.outcomes)
        if not setups:
            self._proposals.start_from(self._proposals.space.point(self._base))

    def _begin(self, setup: TrialSetup) -> RunningTrial:
        lines = self._folder.lines(setup.trial_id)
        before = self._folder.outcome(setup.trial_id)
        attempts = max(before.attempt if before else 0, lines[-1].attempt if lines else 0)
        return RunningTrial(setup=setup, attempt=attempts + 1, started=self._clock(), lines=lines)

    def _conclude(self, trial: RunningTrial, ending: Ending) -> TrialOutcome:
        outcome = TrialOutcome(
            trial_id=trial.setup.trial_id,
            attempt=trial.attempt,
            outcome=ending.outcome,
            reason=ending.reason,
            traceback=ending.traceback,
            value=anytime_value(trial.lines, self.limits.trial_seconds),
            started=trial.started,
            ended=self._clock(),
        )
        self._folder.end(outcome)
        self.outcomes[outcome.trial_id] = outcome
        return outcome

    def _propose(self) -> TrialSetup:
        trial, params = self._proposals.propose()
        config = configure(self._base, params)
        # a seed of its own for each trial: a search must not find what suits one seed
        config = config.model_copy(update={"seed": self._base.seed + self._count()})
        setup = self._folder.add_trial(config.to_dict(), params, self._clock())
        self._proposals.begin(trial, setup.trial_id)
        return setup

    def _note(self, line: ReportLine) -> float | None:
        """Take a line into the best and the rungs; return the rung that stops its trial, if any."""
        if line.val_accuracy is None:
            return None
        if self.best is None or line.val_accuracy > self.best[0]:
            self.best = (line.val_accuracy, line.trial_id)
        best = max(self._best_of.get(line.trial_id, 0.0), line.val_accuracy)
        self._best_of[line.trial_id] = best
        return self.rungs.stops(line.trial_id, line.train_seconds, best)

    def _count(self) -> int:
        return len(self.outcomes) + len(self.running) + len(self._unfinished)

    def _stop_if_nothing_works(self) -> None:
        if len(self.outcomes) != FAILURES_THAT_END_A_SEARCH:
            return
        kinds = Counter((o.outcome, o.reason) for o in self.outcomes.values())
        ((outcome, reason), count) = kinds.most_common(1)[0]
        if outcome is Outcome.FAILED and count == FAILURES_THAT_END_A_SEARCH:
            self.stop(f"the first {count} trials all failed: {reason}", failed=True)


def _stopped_at(rung: float) -> Ending:
    return Ending(
        outcome=Outcome.STOPPED, reason=f"not among the best third at {rung:.3g} s of training"
    )
