"""The book of a search's trials: which run, which are to be taken up again, how the others ended.

It is kept in the run folder; what stands here in memory follows from what is written there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tune_ode.records import Outcome, ReportLine, TrialOutcome, TrialSetup, latest_lines
from tune_ode.tuning.run_folder import RunFolder
from tune_ode.tuning.task import Ending


@dataclass
class RunningTrial:
    """A trial between its start and its end."""

    setup: TrialSetup
    attempt: int
    losses: int
    """Earlier attempts that ended without a word."""
    started: float
    lines: list[ReportLine] = field(default_factory=list)
    gpu_seconds: float = 0.0
    """Of earlier attempts."""
    begun: bool = False
    """Whether it has a place to work, and is not waiting for one."""

    @property
    def curve(self) -> list[ReportLine]:
        """Its lines as a reader of the run folder has them: the last per epoch."""
        return latest_lines(iter(self.lines))

    @property
    def best_accuracy(self) -> float | None:
        """Best validation accuracy so far."""
        return max(
            (line.val_accuracy for line in self.lines if line.val_accuracy is not None),
            default=None,
        )


class TrialBook:
    """All trials of a run: each is running, unfinished, or has its outcome."""

    def __init__(self, folder: RunFolder, clock: Callable[[], float], *, gpus: float) -> None:
        """Take where it is kept, what tells Unix seconds, and how many GPUs each trial holds."""
        self._folder = folder
        self._clock = clock
        self._gpus = gpus
        self.running: dict[str, RunningTrial] = {}
        self.unfinished: list[TrialSetup] = []
        """To be taken up again."""
        self.outcomes: dict[str, TrialOutcome] = {}
        self._gpu_seconds: dict[str, float] = {}

    def read(self) -> tuple[list[TrialSetup], list[ReportLine]]:
        """Enter what the folder holds; return its trials, and their lines as they had arrived."""
        setups, lines = self._folder.setups(), []
        for setup in setups:
            trial_id = setup.trial_id
            outcome, its_lines = self._folder.outcome(trial_id), self._folder.lines(trial_id)
            if outcome is None or outcome.outcome is Outcome.INTERRUPTED:
                self.unfinished.append(setup)
            else:
                self.outcomes[trial_id] = outcome
            # a driver that was killed has not written what the attempt under it took
            told = self._gpus * its_lines[-1].wall_seconds if its_lines else 0.0
            self._gpu_seconds[trial_id] = max(outcome.gpu_seconds if outcome else 0.0, told)
            lines += its_lines
        return setups, sorted(lines, key=lambda line: line.timestamp)

    @property
    def count(self) -> int:
        """How many trials there are."""
        return len(self.outcomes) + len(self.running) + len(self.unfinished)

    def gpu_seconds(self) -> float:
        """GPUs × wall-clock seconds that trials held them, over all attempts."""
        now = self._clock()
        running = sum(now - trial.started for trial in self.running.values() if trial.begun)
        return sum(self._gpu_seconds.values()) + self._gpus * running

    def first_attempt(self, setup: TrialSetup) -> RunningTrial:
        """Return a new trial, to be entered."""
        return RunningTrial(setup=setup, attempt=1, losses=0, started=self._clock())

    def next_attempt(self, setup: TrialSetup) -> RunningTrial:
        """Return an unfinished trial's next attempt, to be entered."""
        trial = self.last_attempt(setup)
        trial.attempt += 1
        # written before it is true, since a driver that is killed writes nothing
        going_on = Ending(outcome=Outcome.INTERRUPTED, reason="goes on after an interruption")
        self._folder.end(self._outcome(trial, going_on, None, losses=trial.losses + 1))
        return trial

    def last_attempt(self, setup: TrialSetup) -> RunningTrial:
        """Return an unfinished trial as its last attempt left it."""
        before = self._folder.outcome(setup.trial_id)
        return RunningTrial(
            setup=setup,
            # without a word about it, a trial was lost in its first attempt
            attempt=before.attempt if before else 1,
            losses=before.losses if before else 1,
            started=self._clock(),
            lines=self._folder.lines(setup.trial_id),
            gpu_seconds=self._gpu_seconds[setup.trial_id],
        )

    def enter(self, trial: RunningTrial) -> None:
        """Have a trial running."""
        self._finish_waiting(trial.setup)
        self.running[trial.setup.trial_id] = trial

    def conclude(
        self, trial: RunningTrial, ending: Ending, values: Sequence[float] | None
    ) -> TrialOutcome:
        """Write down how a trial ended; one that runs stays among those that do.

        Args:
            trial: running, or unfinished.
            ending: how.
            values: of the objectives, where it was measured.
        """
        outcome = self._outcome(trial, ending, values, losses=trial.losses)
        self._folder.end(outcome)
        self._finish_waiting(trial.setup)
        self.outcomes[outcome.trial_id] = outcome
        self._gpu_seconds[outcome.trial_id] = outcome.gpu_seconds
        return outcome

    def reopen(self, setup: TrialSetup) -> None:
        """Have a trial taken up again that was concluded as interrupted."""
        del self.outcomes[setup.trial_id]
        self.unfinished.append(setup)

    def _finish_waiting(self, setup: TrialSetup) -> None:
        if setup in self.unfinished:
            self.unfinished.remove(setup)

    def _outcome(
        self,
        trial: RunningTrial,
        ending: Ending,
        values: Sequence[float] | None,
        *,
        losses: int,
    ) -> TrialOutcome:
        now = self._clock()
        return TrialOutcome(
            trial_id=trial.setup.trial_id,
            attempt=trial.attempt,
            outcome=ending.outcome,
            reason=ending.reason,
            traceback=ending.traceback,
            values=None if values is None else list(values),
            losses=losses,
            started=trial.started,
            ended=now,
            gpu_seconds=trial.gpu_seconds + trial.begun * self._gpus * (now - trial.started),
        )
