"""`training_loop`: train one trial and yield its reports, each after its checkpoint is saved."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from tune_ode.config import TrialConfig
from tune_ode.data import TrialData
from tune_ode.errors import ConfigurationError, SolveFailed
from tune_ode.records import Report
from tune_ode.training.context import TrialContext
from tune_ode.training.trial import Trial

FIRST_ATTEMPT = TrialContext()
"""A first attempt without concurrent trials."""


def training_loop(
    config: TrialConfig,
    data: TrialData,
    *,
    device: torch.device,
    context: TrialContext = FIRST_ATTEMPT,
    checkpoints: Path | None = None,
    resume_from: Path | None = None,
    budget_seconds: float | None = None,
    report_instants: Sequence[float] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    on_batch: Callable[[float], None] | None = None,
) -> Iterator[Report]:
    """Train, and yield a report at the end of each epoch, or at given instants and the end.

    All seconds are `train_seconds`, which do not advance while the generator is suspended. Closing
    the generator ends the training. Equal configurations give equal results, bit for bit on a CPU,
    regardless of other work in the process and of interruptions followed by a resume.

    Args:
        config: configuration of the trial.
        data: images on the device.
        device: training device, a CPU or a CUDA GPU.
        context: attempt and environment, for the reports.
        checkpoints: directory for `last.pt` and, if the validation accuracy is the best so far,
            `best.pt`; both are written before the report that they belong to is yielded.
        resume_from: a `last.pt` to resume from. Its own report is yielded first, since the process
            that wrote it may have ended before the report was recorded.
        budget_seconds: the training ends with the first batch that reaches this time, over all
            attempts; None: no budget. A horizon that is not set is chosen for it.
        report_instants: instants in seconds at which to report, instead of at the end of epochs.
            Instants within the same batch give one report. Early ones use a fixed sample of the
            validation split (`sample_size`), the end uses all of it.
        should_stop: called after every batch; if true the training ends at once without a report,
            after saving `last.pt`.
        on_batch: called after every batch with the epochs trained so far, a fraction within an
            epoch. Its time counts as training time, so it must be fast.

    Yields:
        Reports, measured on the validation split.

    Raises:
        Diverged: a non-finite loss, or a solve that violated one of its bounds.
        ConfigurationError: a budget that is not positive, or a checkpoint of another configuration.
        RunFolderError: a checkpoint that cannot be read or written.
        StorageFull: the disk is full.
        torch.OutOfMemoryError: the training does not fit on the device.
    """
    budget = math.inf if budget_seconds is None else budget_seconds
    if not budget > 0:
        raise ConfigurationError(f"a budget of training seconds must be positive, found {budget}")
    by_epoch = report_instants is None
    instants = sorted({*(report_instants or ()), budget, math.inf})

    trial = Trial(config, data, device, context, math.inf if resume_from else budget)
    if resume_from is not None:
        trial.resume(resume_from)
        if trial.last_report is not None:
            yield trial.last_report

    while trial.batches < trial.horizon and trial.reported_seconds < budget:
        try:
            next_report = next(instant for instant in instants if instant > trial.reported_seconds)
            stopped = trial.train_until(next_report, should_stop, on_batch)
            ended = by_epoch or trial.batches == trial.horizon
            if not stopped and not ended and trial.clock.train.seconds < next_report:
                continue  # an epoch ended between two instants
            complete = ended or trial.clock.train.seconds >= budget
            report = None if stopped else trial.report(complete=complete)
        except SolveFailed as error:
            raise trial.diverged(str(error)) from error
        if checkpoints is not None:
            with trial.clock.checkpoints:
                trial.save(checkpoints)
        if report is None:
            return
        yield report
