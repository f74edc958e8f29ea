"""What a search, and each of its trials, may use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.curves import INSTANTS_PER_DECADE, report_instants
from tune_ode.records import Report

MAX_CRASHES = 3
"""Maximum restarts of a trial after a worker or driver crash."""
REPORT_TIMEOUT_SECONDS = 600.0
"""Margin for compilation, validation and a shared machine in the default report timeout."""


def default_report_timeout(trial_seconds: float | None) -> float | None:
    """Return the report timeout of trials with a budget of `train_seconds`; None without one."""
    return None if trial_seconds is None else 2 * trial_seconds + REPORT_TIMEOUT_SECONDS


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits of a search and of each of its trials; None means no limit."""

    trials: int | None
    """Number of trials, over all resumes."""
    seconds: float | None
    """Wall-clock seconds since the search was started or resumed."""
    trial_seconds: float | None
    """`train_seconds` of each trial; None: a trial ends after its epochs."""
    instants_per_decade: int = INSTANTS_PER_DECADE
    """Reports of a trial per factor of ten in `train_seconds`."""
    gpu_seconds: float | None = None
    """GPUs × wall-clock seconds, over all trials and resumes."""
    target_accuracy: float | None = None
    """Validation accuracy in [0, 1] at which the search ends."""
    patience: int | None = None
    """Finished trials without an improvement of the objective after which the search ends."""
    report_timeout: float | None = None
    """Seconds without a report after which a trial fails."""

    @property
    def report_instants(self) -> tuple[float, ...] | None:
        """`train_seconds` at which trials report; None: at the end of each epoch."""
        return report_instants(self.trial_seconds, self.instants_per_decade)

    def wants_more(self, trials: int) -> bool:
        """Return whether another trial may follow that many."""
        return self.trials is None or trials < self.trials

    def is_last_report(self, report: Report) -> bool:
        """Return whether a trial ends with this report."""
        over_budget = self.trial_seconds is not None and report.train_seconds >= self.trial_seconds
        return over_budget or report.batches >= report.horizon

    def reaches_target(self, report: Report, validation_images: int | None) -> bool:
        """Return whether a report on all validation images reaches the target accuracy.

        On a sample of them, one of many trials would reach it by chance.
        """
        complete = report.val_images in (None, validation_images)
        target, accuracy = self.target_accuracy, report.val_accuracy
        return complete and target is not None and accuracy is not None and accuracy >= target

    def full_training_seconds(self, reports: Sequence[Report]) -> float | None:
        """Extrapolate `train_seconds` of a trial that nothing stops early; None before a report."""
        if not reports:
            return None
        seconds = reports[-1].train_seconds * reports[-1].horizon / reports[-1].batches
        return seconds if self.trial_seconds is None else min(seconds, self.trial_seconds)

    def spent(self, trials: int, seconds: float) -> float:
        """Return the share in [0, 1] of the search's budget that is used."""
        shares = [0.0]
        if self.trials is not None:
            shares.append(trials / self.trials)
        if self.seconds is not None:
            shares.append(seconds / self.seconds)
        return min(max(shares), 1.0)
