"""The trials of a search: running, unfinished, or finished with a result.

Every change is written to the run directory first; the tables in memory follow from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tune_ode.records import Outcome, Report, TrialResult, TrialSpec, dedupe_by_epoch
from tune_ode.runs.folder import RunFolder
from tune_ode.runs.restart import restart_if_lost
from tune_ode.worker.task import TrialEnd


@dataclass
class RunningTrial:
    """A trial between its start and its end."""

    spec: TrialSpec
    attempt: int
    crashes: int
    """Earlier attempts that crashed."""
    started: float
    reports: list[Report] = field(default_factory=list)
    gpu_seconds: float = 0.0
    """GPU seconds of earlier attempts."""
    has_worker: bool = False
    """Whether a worker trains it; before that, it waits for resources."""

    @property
    def curve(self) -> list[Report]:
        """Reports as a reader of the run directory sees them: the last one per epoch."""
        return dedupe_by_epoch(iter(self.reports))

    @property
    def best_accuracy(self) -> float | None:
        """Highest validation accuracy so far."""
        return max(
            (report.val_accuracy for report in self.reports if report.val_accuracy is not None),
            default=None,
        )


class TrialTable:
    """All trials of a run."""

    def __init__(
        self,
        folder: RunFolder,
        clock: Callable[[], float],
        *,
        gpus: float,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Create an empty table; `clock` returns Unix seconds, each trial holds `gpus` GPUs."""
        self._say = say
        self._folder = folder
        self._clock = clock
        self._gpus = gpus
        self.running: dict[str, RunningTrial] = {}
        self.unfinished: list[TrialSpec] = []
        """Trials to resume."""
        self.results: dict[str, TrialResult] = {}
        self._gpu_seconds: dict[str, float] = {}
        self._sequence = 0

    def read(self) -> tuple[list[TrialSpec], list[Report]]:
        """Load the run directory; return its trials, and their reports in order of arrival."""
        specs, reports = self._folder.specs(), []
        for spec in specs:
            trial_id = spec.trial_id
            result, own = self._folder.result(trial_id), self._folder.reports(trial_id)
            if result is None or result.can_resume:
                self.unfinished.append(spec)
            else:
                self.results[trial_id] = result
            # a driver that was killed did not write what the attempt used; its last report has it
            reported = self._gpus * own[-1].wall_seconds if own else 0.0
            self._gpu_seconds[trial_id] = max(result.gpu_seconds if result else 0.0, reported)
            reports += own
        reports.sort(key=_arrival)
        self._sequence = max((report.sequence or 0 for report in reports), default=0)
        return specs, reports

    def next_sequence(self) -> int:
        """Return the number of the next report."""
        self._sequence += 1
        return self._sequence

    @property
    def count(self) -> int:
        """Number of trials."""
        return len(self.results) + len(self.running) + len(self.unfinished)

    @property
    def can_resume(self) -> bool:
        """Whether any trial has been started and not finished."""
        return bool(self.unfinished or self.running) or any(
            result.can_resume for result in self.results.values()
        )

    def gpu_seconds(self) -> float:
        """Return GPUs × wall-clock seconds that trials held them, over all attempts."""
        now = self._clock()
        running = sum(now - trial.started for trial in self.running.values() if trial.has_worker)
        return sum(self._gpu_seconds.values()) + self._gpus * running

    def next_attempt(self, spec: TrialSpec) -> RunningTrial:
        """Return the next attempt of an unfinished trial, which starts over if it must."""
        if line := restart_if_lost(self._folder, spec.trial_id):
            self._say(line)
        trial = self.last_attempt(spec)
        trial.attempt += 1
        # counted as a crash until it ends: a driver that is killed writes nothing
        restart = TrialEnd(outcome=Outcome.INTERRUPTED, reason="restarted after an interruption")
        self._folder.write_result(self._result(trial, restart, None, crashes=trial.crashes + 1))
        return trial

    def last_attempt(self, spec: TrialSpec) -> RunningTrial:
        """Return an unfinished trial as its last attempt left it."""
        result = self._folder.result(spec.trial_id)
        return RunningTrial(
            spec=spec,
            # without a result, its first attempt crashed
            attempt=result.attempt if result else 1,
            crashes=result.crashes if result else 1,
            started=self._clock(),
            reports=self._folder.reports(spec.trial_id),
            gpu_seconds=self._gpu_seconds[spec.trial_id],
        )

    def mark_running(self, trial: RunningTrial) -> None:
        """Move an attempt to the running trials."""
        self._remove_unfinished(trial.spec)
        self.running[trial.spec.trial_id] = trial

    def finish(
        self, trial: RunningTrial, end: TrialEnd, values: Sequence[float] | None
    ) -> TrialResult:
        """Write the result of a running or unfinished trial, with the values of the objectives.

        If that raises, the trial is still running or unfinished.
        """
        result = self._result(trial, end, values, crashes=trial.crashes)
        self._folder.write_result(result)
        self._remove_unfinished(trial.spec)
        self.running.pop(result.trial_id, None)
        self.results[result.trial_id] = result
        self._gpu_seconds[result.trial_id] = result.gpu_seconds
        return result

    def requeue(self, spec: TrialSpec) -> None:
        """Move a trial that was finished as interrupted back to the unfinished ones."""
        del self.results[spec.trial_id]
        self.unfinished.append(spec)

    def _remove_unfinished(self, spec: TrialSpec) -> None:
        if spec in self.unfinished:
            self.unfinished.remove(spec)

    def _result(
        self, trial: RunningTrial, end: TrialEnd, values: Sequence[float] | None, *, crashes: int
    ) -> TrialResult:
        now = self._clock()
        held = self._gpus * (now - trial.started) if trial.has_worker else 0.0
        return TrialResult(
            trial_id=trial.spec.trial_id,
            attempt=trial.attempt,
            outcome=end.outcome,
            reason=end.reason,
            traceback=end.traceback,
            values=None if values is None else list(values),
            crashes=crashes,
            started=trial.started,
            ended=now,
            gpu_seconds=trial.gpu_seconds + held,
        )


def _arrival(report: Report) -> tuple[bool, float]:
    """Return a key that sorts reports by arrival; stamps are of a clock that may be set back."""
    numbered = report.sequence is not None
    return numbered, report.sequence if report.sequence is not None else report.timestamp
