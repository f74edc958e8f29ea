"""A confirmation as a state machine: what is trained next, and what becomes of it.

So is a comparison, whose candidates are its cases. It knows neither processes nor torch: tests
drive it with made-up trainings. Called from one thread; a display may read its attributes from
another.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tune_ode.errors import RunFailed
from tune_ode.records import (
    LAST_CHECKPOINT,
    TRIALS,
    Confirmation,
    Outcome,
    Report,
    TrialResult,
    TrialSpec,
)
from tune_ode.replication.plan import Candidate, TrainingPlan
from tune_ode.replication.subprocess import Event, ProcessDied, TrainingDone
from tune_ode.runs.folder import RunFolder
from tune_ode.tuning.search.limits import MAX_CRASHES
from tune_ode.worker.task import Task, TrialEnd


@dataclass
class RunningTraining:
    """A training between its start and its end."""

    confirms: str
    seed_number: int
    """Counts a configuration's seeds from 1."""
    epochs: int
    attempt: int
    crashes: int
    """Attempts that died without a word."""
    started: float
    spec: TrialSpec
    lines: list[Report] = field(default_factory=list)
    epoch: float = 0.0
    """How far it is."""
    examined: bool = False
    """Whether it is trained, and being examined."""
    confirmation: Confirmation | None = None


class ReplicationRunner:
    """The state of a confirmation: what is done, what runs, what is left.

    Seeds go round the configurations: an interruption leaves each with as many trainings, give or
    take one, and what drifts on the machine drifts under all of them.
    """

    def __init__(
        self, folder: RunFolder, chosen: TrainingPlan, clock: Callable[[], float] = time.time
    ) -> None:
        """Take up what the folder holds."""
        self._folder = folder
        self._chosen = chosen
        self._clock = clock
        self._before = folder.manifest.seconds
        self.started = clock()
        self.interrupted = False
        self.impatient = False
        """Asked to stop twice: what runs is ended at once."""
        self.running: RunningTraining | None = None
        self.done: dict[str, TrialResult] = {}
        """Of this start, by trial of the confirmation's folder, with what each was said to be."""
        self.last: RunningTraining | None = None
        """The last training that ended."""
        folder.clear_stop_flag()
        self._setups = {(setup.confirms, setup.config["seed"]): setup for setup in folder.specs()}
        self._left = [
            (candidate, seed)
            for seed in chosen.seeds
            for candidate in chosen.candidates
            if not self._finished(candidate, seed)
        ]
        self.total = len(chosen.seeds) * len(chosen.candidates)

    @property
    def finished(self) -> int:
        """How many of all trainings are done."""
        return self.total - len(self._left)

    def elapsed(self) -> float:
        """Wall-clock seconds since this start."""
        return self._clock() - self.started

    def next_task(self) -> Task | None:
        """Begin the next training; None when there is none, or it is to stop."""
        if self.interrupted or not self._left:
            return None
        candidate, seed = self._left[0]
        setup = self._setups.get((candidate.confirms, seed))
        if setup is None:
            setup = self._folder.add_trial(
                candidate.seeded(seed).to_dict(), candidate.params, self._clock(),
                confirms=candidate.confirms,
            )  # fmt: skip
            self._setups[candidate.confirms, seed] = setup
        before = self._folder.result(setup.trial_id)
        lines = self._folder.reports(setup.trial_id)
        attempts = before.attempt if before else max((line.attempt for line in lines), default=0)
        chosen = self._chosen
        self.running = RunningTraining(
            confirms=candidate.confirms,
            seed_number=chosen.seeds.index(seed) + 1,
            epochs=candidate.config.training.epochs,
            attempt=attempts + 1,
            crashes=before.crashes if before else 0,
            started=self._clock(),
            spec=setup,
            lines=lines,
        )
        return Task(
            trial_id=setup.trial_id,
            attempt=self.running.attempt,
            config=setup.config,
            run_folder=self._folder.address,
            data_dir=chosen.data_dir,
            device=chosen.resources.device,
            threads=chosen.resources.cpus_per_trial,
            budget_seconds=chosen.budget_seconds,
            report_instants=chosen.report_instants,
            memory_bytes=chosen.resources.memory_per_trial,
            report_timeout=chosen.report_timeout,
            evaluate_test=chosen.evaluate_test,
        )

    def is_first_attempt(self, task: Task) -> bool:
        """Return whether a training starts from nothing, and not from a checkpoint."""
        return not (task.folder / LAST_CHECKPOINT).exists()

    def handle(self, word: Event | None) -> None:
        """Take note of what the running training says.

        Raises:
            RunFailed: it could not go on, and nor could another.
        """
        training = self.running
        assert training is not None
        match word:
            case float():
                training.epoch = word
            case Report():
                line = replace(word, timestamp=self._clock())
                training.epoch = line.epoch
                training.lines.append(line)
                self._folder.append(line)
            case TrainingDone():
                training.examined = True
            case Confirmation():
                training.confirmation = word
                self._folder.confirm(word)
            case TrialEnd():
                self._end(word)
                if word.outcome is Outcome.INTERRUPTED and not self.interrupted:
                    # by no person: a full disk, which the next training would meet again
                    remedy = f"to continue: {self._chosen.resume_command}"
                    raise RunFailed(f"the trainings ended: {word.reason}; {remedy}")
            case ProcessDied():
                self._lose()

    def stop(self) -> None:
        """Let the running training save its state and end; the second time, end it at once."""
        self.impatient = self.interrupted
        self.interrupted = True
        self._folder.set_stop_flag()

    @property
    def leaves_at_once(self) -> bool:
        """Whether not to wait for the running training: asked twice, or it has saved all it can."""
        training = self.running
        return self.impatient or (self.interrupted and training is not None and training.examined)

    def close(self) -> None:
        """Write down that it has ended; what still runs is interrupted, and can be continued."""
        if self.running is not None:
            self._end(TrialEnd(outcome=Outcome.INTERRUPTED, reason="interrupted"))
        self._folder.update(
            state="interrupted" if self._left else "finished",
            seconds=self._before + self.elapsed(),
        )
        self._folder.clear_stop_flag()

    # --- inside -----------------------------------------------------------------------------

    def _finished(self, candidate: Candidate, seed: int) -> bool:
        setup = self._setups.get((candidate.confirms, seed))
        outcome = self._folder.result(setup.trial_id) if setup else None
        return outcome is not None and outcome.outcome is not Outcome.INTERRUPTED

    def _end(self, ending: TrialEnd) -> None:
        training = self.running
        assert training is not None
        outcome = TrialResult(
            trial_id=training.spec.trial_id,
            attempt=training.attempt,
            outcome=ending.outcome,
            reason=ending.reason,
            traceback=ending.traceback,
            crashes=training.crashes,
            started=training.started,
            ended=self._clock(),
        )
        self._folder.end(outcome)
        self.running, self.last = None, training
        self.done[outcome.trial_id] = outcome
        if ending.outcome is not Outcome.INTERRUPTED:
            self._left.pop(0)
            # nothing goes on from it any more
            trial = self._folder.place / TRIALS / outcome.trial_id
            (trial / LAST_CHECKPOINT).unlink(missing_ok=True)

    def _lose(self) -> None:
        """Take note that the process died; it is started again, a few times at most."""
        training = self.running
        assert training is not None
        stack = self._folder.hang_stack(training.spec.trial_id)
        if stack is not None:
            reason = f"no word for {self._chosen.report_timeout:g} s; it hung"
            self._end(TrialEnd(outcome=Outcome.FAILED, reason=reason, traceback=stack))
            return
        training.crashes += not self.interrupted
        died = "its process died: killed, or out of the machine's memory"
        lost = training.crashes > MAX_CRASHES
        self._end(TrialEnd(outcome=Outcome.FAILED if lost else Outcome.INTERRUPTED, reason=died))
