"""A search as a state machine: what to try next, what to do with a report, when to end.

Ray drives it through `ray_engine`; nothing here knows Ray, so tests drive it in-process. It is
called from one thread; a display may read its attributes from another.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search_spaces import configure
from tune_ode.config import TrialConfig
from tune_ode.errors import TuneOdeError
from tune_ode.records import Outcome, ReportLine, TrialOutcome, TrialSetup
from tune_ode.tuning.proposals import Proposals
from tune_ode.tuning.run_folder import RunFolder
from tune_ode.tuning.rungs import Rungs, rung_seconds
from tune_ode.tuning.task import Ending, Task
from tune_ode.tuning.terms import Limits, Workplace

FAILURES_THAT_END_A_SEARCH = 5
"""When this many trials, the first ones, all failed for one reason, the rest would too."""
MOST_LOSSES = 3
"""So often is a trial taken up again after its process, or the driver, died under it."""


@dataclass
class RunningTrial:
    """A trial between its start and its end."""

    setup: TrialSetup
    attempt: int
    losses: int
    """Earlier attempts that ended without a word."""
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
            early_stopping: whether bad trials are stopped at rungs.
            start_points: tried before the default configuration; each once in the run's life.
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
        proposals.start_from([*start_points, proposals.space.point(base)])

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
            setup = self._unfinished[0]
            trial = self._begin_again(setup)
            self._proposals.repeat(setup.trial_id)
            self._unfinished.pop(0)
        else:
            setup = self._propose()
            trial = RunningTrial(setup=setup, attempt=1, losses=0, started=self._clock())
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
        trial = self.running[trial_id]
        outcome = self._conclude(trial, ending)
        if outcome.outcome is Outcome.INTERRUPTED:
            self._proposals.park(trial_id)
        else:
            self._proposals.tell(outcome, trial.lines)
        # only now: what fails above is still running, and is interrupted by `close`
        del self.running[trial_id]
        if ending.outcome is Outcome.INTERRUPTED and self.stop_reason is None:
            self.stop(ending.reason, failed=True)
        self._stop_if_nothing_works()

    def lose(self, trial_id: str) -> None:
        """Take note that a trial's process died: it goes on from its last checkpoint.

        After `MOST_LOSSES` times it fails, and the search goes on without it.
        """
        if self.stop_reason is not None:
            return  # told to stop, it left: `close` says that it was interrupted
        trial = self.running[trial_id]
        trial.losses += 1
        if trial.losses > MOST_LOSSES:
            self.end(trial_id, _lost(f"its process died {trial.losses} times"))
            return
        died = "its process died: killed, or out of the machine's memory"
        self._conclude(trial, Ending(outcome=Outcome.INTERRUPTED, reason=died))
        self._proposals.park(trial_id)
        del self.running[trial_id], self.outcomes[trial_id]
        self._unfinished.append(trial.setup)

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
        failure: TuneOdeError | None = None
        for trial_id in list(self.running):
            try:
                interrupted = Ending(outcome=Outcome.INTERRUPTED, reason=self.stop_reason or "")
                self.end(trial_id, interrupted)
            except TuneOdeError as error:  # a full disk, or a database that has gone
                failure = failure or error
        open_ends = bool(self._unfinished or self.running) or any(
            outcome.outcome is Outcome.INTERRUPTED for outcome in self.outcomes.values()
        )
        more_to_come = self.limits.trials is not None and self.has_work()
        self._folder.update(
            state="interrupted" if open_ends or more_to_come else "finished",
            seconds=self.seconds_before + self.elapsed(),
        )
        self._folder.lower_stop()
        if failure is not None:
            raise failure

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
            losses = self._attempts(setup.trial_id)[1]
            if setup.trial_id in stopped_at:
                # the driver died between the report that stops this trial and its outcome
                ending = _stopped_at(stopped_at[setup.trial_id])
            elif losses > MOST_LOSSES:
                ending = _lost(f"its process, or the search with it, died {losses} times")
            else:
                self._unfinished.append(setup)
                continue
            self._conclude(self._taken_up(setup), ending)
        self._proposals.reconcile(setups, self.outcomes, self._folder.lines)

    def _attempts(self, trial_id: str) -> tuple[int, int]:
        """Return how often a trial of the folder was started, and how often it was lost."""
        before = self._folder.outcome(trial_id)
        # without a word about it, a trial was lost in its first attempt
        return (1, 1) if before is None else (before.attempt, before.losses)

    def _taken_up(self, setup: TrialSetup) -> RunningTrial:
        attempt, losses = self._attempts(setup.trial_id)
        lines = self._folder.lines(setup.trial_id)
        return RunningTrial(
            setup=setup, attempt=attempt, losses=losses, started=self._clock(), lines=lines
        )

    def _begin_again(self, setup: TrialSetup) -> RunningTrial:
        trial = self._taken_up(setup)
        trial.attempt += 1
        # written before it is true, since a driver that is killed writes nothing
        going_on = Ending(outcome=Outcome.INTERRUPTED, reason="goes on after an interruption")
        self._folder.end(self._outcome(trial, going_on, losses=trial.losses + 1))
        return trial

    def _conclude(self, trial: RunningTrial, ending: Ending) -> TrialOutcome:
        outcome = self._outcome(trial, ending, losses=trial.losses)
        self._folder.end(outcome)
        self.outcomes[outcome.trial_id] = outcome
        return outcome

    def _outcome(self, trial: RunningTrial, ending: Ending, *, losses: int) -> TrialOutcome:
        measured = ending.outcome in (Outcome.COMPLETED, Outcome.STOPPED)
        objective = self._proposals.objective
        values = objective.values(trial.lines, self.limits.trial_seconds) if measured else None
        return TrialOutcome(
            trial_id=trial.setup.trial_id,
            attempt=trial.attempt,
            outcome=ending.outcome,
            reason=ending.reason,
            traceback=ending.traceback,
            values=None if values is None else list(values),
            losses=losses,
            started=trial.started,
            ended=self._clock(),
        )

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


def _lost(reason: str) -> Ending:
    why = "killed, or out of the machine's memory"
    return Ending(outcome=Outcome.FAILED, reason=f"{reason}: {why}")


def _stopped_at(rung: float) -> Ending:
    return Ending(
        outcome=Outcome.STOPPED, reason=f"not among the best third at {rung:.3g} s of training"
    )
