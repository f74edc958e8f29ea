"""State machine of a confirmation or comparison: which training is next, what its events change.

It knows neither processes nor torch; tests drive it with made-up trainings. It is called from one
thread; a display may read its attributes from another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tune_ode.config.data import relocated
from tune_ode.errors import RunFailed
from tune_ode.process.clock import steady_clock
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
from tune_ode.runs.restart import restart_if_lost
from tune_ode.tuning.search.crashes import after_crash, after_hang
from tune_ode.worker.task import Task, TrialEnd


@dataclass
class RunningTraining:
    """A training between its start and its end."""

    confirms: str
    seed_number: int
    """Number of its seed within the plan, from 1."""
    epochs: int
    """Epochs to train."""
    attempt: int
    crashes: int
    """Crashed attempts."""
    started: float
    """Unix seconds."""
    spec: TrialSpec
    reports: list[Report] = field(default_factory=list)
    epoch: float = 0.0
    """Epochs trained so far."""
    evaluating: bool = False
    """Whether training is done and the model is being evaluated."""
    confirmation: Confirmation | None = None


class ReplicationRunner:
    """What is trained, what is running, what is left.

    Each seed is used for all configurations before the next: an interruption leaves all with about
    as many trainings, and a drift of the machine affects all of them.
    """

    def __init__(
        self, folder: RunFolder, plan: TrainingPlan, clock: Callable[[], float] | None = None
    ) -> None:
        """Restore the state from the run directory."""
        self._folder = folder
        self._plan = plan
        self._clock = clock = clock or steady_clock()
        self._seconds_before = folder.manifest.seconds
        self.started = clock()
        self.interrupted = False
        self._abort_requested = False
        self.running: RunningTraining | None = None
        self.results: dict[str, TrialResult] = {}
        """Results since the last start, by trial id."""
        self.say: Callable[[str], None] = lambda text: None
        """Called with one line if a training starts over."""
        self.last_training: RunningTraining | None = None
        """The training that ended last."""
        folder.clear_stop_flag()
        self._specs = {(spec.confirms, spec.config.get("seed")): spec for spec in folder.specs()}
        self._left = [
            (candidate, seed)
            for seed in plan.seeds
            for candidate in plan.candidates
            if not self._is_finished(candidate, seed)
        ]
        self.total = len(plan.seeds) * len(plan.candidates)

    @property
    def finished(self) -> int:
        """Number of finished trainings, over all starts."""
        return self.total - len(self._left)

    def elapsed(self) -> float:
        """Return wall-clock seconds since the last start."""
        return self._clock() - self.started

    def next_task(self) -> Task | None:
        """Start the next training; return None if none is left or after an interrupt."""
        if self.interrupted or not self._left:
            return None
        candidate, seed = self._left[0]
        spec = self._specs.get((candidate.confirms, seed))
        if spec is None:
            spec = self._folder.add_trial(
                candidate.with_seed(seed).to_dict(), candidate.params, self._clock(),
                confirms=candidate.confirms,
            )  # fmt: skip
            self._specs[candidate.confirms, seed] = spec
        elif line := restart_if_lost(self._folder, spec.trial_id):
            self.say(line)
        before = self._folder.result(spec.trial_id)
        reports = self._folder.reports(spec.trial_id)
        attempts = before.attempt if before else max((r.attempt for r in reports), default=0)
        plan = self._plan
        self.running = RunningTraining(
            confirms=candidate.confirms,
            seed_number=plan.seeds.index(seed) + 1,
            epochs=candidate.config.training.epochs,
            attempt=attempts + 1,
            crashes=before.crashes if before else 0,
            started=self._clock(),
            spec=spec,
            reports=reports,
        )
        return Task(
            trial_id=spec.trial_id,
            attempt=self.running.attempt,
            config=relocated(spec.config, plan.dataset),
            run_folder=self._folder.address,
            data_dir=plan.data_dir,
            fingerprint=plan.fingerprint,
            device=plan.resources.device,
            threads=plan.resources.cpus_per_trial,
            budget_seconds=plan.budget_seconds,
            report_instants=plan.report_instants,
            memory_bytes=plan.resources.memory_per_trial,
            report_timeout=plan.report_timeout,
            evaluate_test=plan.evaluate_test,
        )

    def is_first_attempt(self, task: Task) -> bool:
        """Return whether a training starts without a checkpoint."""
        return not (task.folder / LAST_CHECKPOINT).exists()

    def handle(self, event: Event | None) -> None:
        """Record an event of the running training.

        Raises:
            RunFailed: the training was interrupted, but not by the user: others would be too.
        """
        training = self.running
        assert training is not None
        match event:
            case float():
                training.epoch = event
            case Report():
                training.spec = self._folder.fix_horizon(training.spec, event.horizon)
                report = replace(event, timestamp=self._clock())
                training.epoch = report.epoch
                training.reports.append(report)
                self._folder.append(report)
            case TrainingDone():
                training.evaluating = True
            case Confirmation():
                training.confirmation = event
                self._folder.write_confirmation(event)
            case TrialEnd():
                self._end(event)
                if event.outcome is Outcome.INTERRUPTED and not self.interrupted:
                    # a full disk, for example
                    remedy = f"to continue: {self._folder.resume_command}"
                    raise RunFailed(f"the trainings ended: {event.reason}; {remedy}")
            case ProcessDied():
                stack = self._folder.hang_stack(training.spec.trial_id)
                if stack is not None:
                    self._end(after_hang(stack, self._plan.report_timeout))
                else:
                    training.crashes += not self.interrupted
                    self._end(after_crash(training.crashes))

    def stop(self) -> None:
        """Ask the running training to save its state and end; the second time, end it at once."""
        self._abort_requested = self.interrupted
        self.interrupted = True
        self._folder.set_stop_flag()

    @property
    def should_abort(self) -> bool:
        """Whether to end the running training without waiting for it.

        True after a second interrupt, or if it has already saved its state and is being evaluated.
        """
        evaluating = self.running is not None and self.running.evaluating
        return self._abort_requested or (self.interrupted and evaluating)

    def close(self) -> None:
        """Record the end of the run; a training that still runs is interrupted."""
        if self.running is not None:
            self._end(TrialEnd(outcome=Outcome.INTERRUPTED, reason="interrupted"))
        self._folder.update(
            state="interrupted" if self._left else "finished",
            seconds=self._seconds_before + self.elapsed(),
        )
        self._folder.clear_stop_flag()

    def _is_finished(self, candidate: Candidate, seed: int) -> bool:
        spec = self._specs.get((candidate.confirms, seed))
        result = self._folder.result(spec.trial_id) if spec else None
        return result is not None and result.outcome is not Outcome.INTERRUPTED

    def _end(self, end: TrialEnd) -> None:
        training = self.running
        assert training is not None
        result = TrialResult(
            trial_id=training.spec.trial_id,
            attempt=training.attempt,
            outcome=end.outcome,
            reason=end.reason,
            traceback=end.traceback,
            crashes=training.crashes,
            started=training.started,
            ended=self._clock(),
        )
        self._folder.write_result(result)
        self.running, self.last_training = None, training
        self.results[result.trial_id] = result
        if end.outcome is not Outcome.INTERRUPTED:
            self._left.pop(0)
            # the checkpoint is not needed any more
            trial = self._folder.location / TRIALS / result.trial_id
            (trial / LAST_CHECKPOINT).unlink(missing_ok=True)
