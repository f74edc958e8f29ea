"""The book of a search's trials: which run, which are to be taken up again, how the others ended.

It is kept in the run folder; what stands here in memory follows from what is written there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tune_ode.records import Outcome, Report, TrialResult, TrialSpec, dedupe_by_epoch
from tune_ode.runs.folder import RunFolder
from tune_ode.worker.task import TrialEnd


@dataclass
class RunningTrial:
    """A trial between its start and its end."""

    spec: TrialSpec
    attempt: int
    crashes: int
    """Earlier attempts that ended without a word."""
    started: float
    reports: list[Report] = field(default_factory=list)
    gpu_seconds: float = 0.0
    """Of earlier attempts."""
    started_running: bool = False
    """Whether it has a place to work, and is not waiting for one."""

    @property
    def curve(self) -> list[Report]:
        """Its lines as a reader of the run folder has them: the last per epoch."""
        return dedupe_by_epoch(iter(self.reports))

    @property
    def best_accuracy(self) -> float | None:
        """Best validation accuracy so far."""
        return max(
            (line.val_accuracy for line in self.reports if line.val_accuracy is not None),
            default=None,
        )


class TrialTable:
    """All trials of a run: each is running, unfinished, or has its outcome."""

    def __init__(self, folder: RunFolder, clock: Callable[[], float], *, gpus: float) -> None:
        """Take where it is kept, what tells Unix seconds, and how many GPUs each trial holds."""
        self._folder = folder
        self._clock = clock
        self._gpus = gpus
        self.running: dict[str, RunningTrial] = {}
        self.unfinished: list[TrialSpec] = []
        """To be taken up again."""
        self.results: dict[str, TrialResult] = {}
        self._gpu_seconds: dict[str, float] = {}

    def read(self) -> tuple[list[TrialSpec], list[Report]]:
        """Enter what the folder holds; return its trials, and their lines as they had arrived."""
        setups, lines = self._folder.specs(), []
        for setup in setups:
            trial_id = setup.trial_id
            outcome, its_lines = self._folder.result(trial_id), self._folder.reports(trial_id)
            if outcome is None or outcome.outcome is Outcome.INTERRUPTED:
                self.unfinished.append(setup)
            else:
                self.results[trial_id] = outcome
            # a driver that was killed has not written what the attempt under it took
            told = self._gpus * its_lines[-1].wall_seconds if its_lines else 0.0
            self._gpu_seconds[trial_id] = max(outcome.gpu_seconds if outcome else 0.0, told)
            lines += its_lines
        return setups, sorted(lines, key=lambda line: line.timestamp)

    @property
    def count(self) -> int:
        """How many trials there are."""
        return len(self.results) + len(self.running) + len(self.unfinished)

    def gpu_seconds(self) -> float:
        """GPUs × wall-clock seconds that trials held them, over all attempts."""
        now = self._clock()
        running = sum(
            now - trial.started for trial in self.running.values() if trial.started_running
        )
        return sum(self._gpu_seconds.values()) + self._gpus * running

    def first_attempt(self, setup: TrialSpec) -> RunningTrial:
        """Return a new trial, to be entered."""
        return RunningTrial(spec=setup, attempt=1, crashes=0, started=self._clock())

    def next_attempt(self, setup: TrialSpec) -> RunningTrial:
        """Return an unfinished trial's next attempt, to be entered."""
        trial = self.last_attempt(setup)
        trial.attempt += 1
        # written before it is true, since a driver that is killed writes nothing
        going_on = TrialEnd(outcome=Outcome.INTERRUPTED, reason="goes on after an interruption")
        self._folder.end(self._outcome(trial, going_on, None, crashes=trial.crashes + 1))
        return trial

    def last_attempt(self, setup: TrialSpec) -> RunningTrial:
        """Return an unfinished trial as its last attempt left it."""
        before = self._folder.result(setup.trial_id)
        return RunningTrial(
            spec=setup,
            # without a word about it, a trial was lost in its first attempt
            attempt=before.attempt if before else 1,
            crashes=before.crashes if before else 1,
            started=self._clock(),
            reports=self._folder.reports(setup.trial_id),
            gpu_seconds=self._gpu_seconds[setup.trial_id],
        )

    def mark_running(self, trial: RunningTrial) -> None:
        """Have a trial running."""
        self._finish_waiting(trial.spec)
        self.running[trial.spec.trial_id] = trial

    def finish(
        self, trial: RunningTrial, ending: TrialEnd, values: Sequence[float] | None
    ) -> TrialResult:
        """Write down how a trial ended; one that runs stays among those that do.

        Args:
            trial: running, or unfinished.
            ending: how.
            values: of the objectives, where it was measured.
        """
        outcome = self._outcome(trial, ending, values, crashes=trial.crashes)
        self._folder.end(outcome)
        self._finish_waiting(trial.spec)
        self.results[outcome.trial_id] = outcome
        self._gpu_seconds[outcome.trial_id] = outcome.gpu_seconds
        return outcome

    def requeue(self, setup: TrialSpec) -> None:
        """Have a trial taken up again that was concluded as interrupted."""
        del self.results[setup.trial_id]
        self.unfinished.append(setup)

    def _finish_waiting(self, setup: TrialSpec) -> None:
        if setup in self.unfinished:
            self.unfinished.remove(setup)

    def _outcome(
        self,
        trial: RunningTrial,
        ending: TrialEnd,
        values: Sequence[float] | None,
        *,
        crashes: int,
    ) -> TrialResult:
        now = self._clock()
        return TrialResult(
            trial_id=trial.spec.trial_id,
            attempt=trial.attempt,
            outcome=ending.outcome,
            reason=ending.reason,
            traceback=ending.traceback,
            values=None if values is None else list(values),
            crashes=crashes,
            started=trial.started,
            ended=now,
            gpu_seconds=trial.gpu_seconds
            + trial.started_running * self._gpus * (now - trial.started),
        )
