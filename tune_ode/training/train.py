"""Training one trial: report after report, each saved before it is told."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tune_ode.config import TrialConfig
from tune_ode.data import TrialData
from tune_ode.errors import ConfigurationError, SolveFailed
from tune_ode.records import Report
from tune_ode.training.trial import Trial, TrialContext

ALONE = TrialContext()
"""A first attempt that shares its node with no other trial."""


def never() -> bool:
    """Do not stop: train to the end."""
    return False


def untold(epoch: float) -> None:
    """Nobody asked how far the training is."""


def training_loop(
    config: TrialConfig,
    data: TrialData,
    *,
    device: torch.device,
    context: TrialContext = ALONE,
    checkpoints: Path | None = None,
    resume_from: Path | None = None,
    budget_seconds: float | None = None,
    report_instants: Sequence[float] = (),
    should_stop: Callable[[], bool] = never,
    on_batch: Callable[[float], None] = untold,
) -> Iterator[Report]:
    """Train, and yield a report line at each epoch's end and at each instant asked for.

    All seconds are `train_seconds`, which stand still while the generator is suspended; closing it
    ends the training. Equal configurations give equal results, to the bit on a CPU, whatever else
    runs in the process and however often the training was interrupted and resumed.

    Args:
        config: what is trained, and how.
        data: its images, on the device.
        device: the training device, a CPU or a CUDA GPU.
        context: what report lines say of the trial's surroundings.
        checkpoints: folder for `last.pt` and, where the validation accuracy is the best so far,
            `best.pt`; both are written before the line that they belong to is yielded.
        resume_from: a `last.pt` to go on from. Its own line is yielded first, again, since the
            process that wrote it may have ended before the line was recorded.
        budget_seconds: the training ends with the first batch that reaches them, over all attempts.
        report_instants: instants at which to report inside an epoch, in seconds; those that one batch
            passes together make one report, and one that an epoch's end passes makes none.
        should_stop: asked after every batch; where it agrees the training ends at once: no report,
            but `last.pt` of that very batch, so that nothing is lost.
        on_batch: told after every batch how many epochs are trained, a fraction inside one; it is
            on the clock, so it must be quick.

    Yields:
        Report lines, each measured on the validation split.

    Raises:
        Diverged: the loss is not finite, or a solve met one of its bounds.
        ConfigurationError: the budget is not positive, or the checkpoint is of another
            configuration.
        RunFolderError: a checkpoint that cannot be read or written.
        StorageFull: the disk is full.
        torch.OutOfMemoryError: the training does not fit the device.
    """
    budget = math.inf if budget_seconds is None else budget_seconds
    if not budget > 0:
        raise ConfigurationError(f"a budget of training seconds must be positive, found {budget}")
    instants = sorted({*report_instants, budget, math.inf})

    trial = Trial(config, data, device, context)
    if resume_from is not None:
        trial.resume(resume_from)
        if trial.line is not None:
            yield trial.line

    while trial.progress.epoch < config.training.epochs and trial.reported < budget:
        try:
            next_report = next(instant for instant in instants if instant > trial.reported)
            stopped = trial.train_until(next_report, should_stop, on_batch)
            line = None if stopped else trial.report()
        except SolveFailed as error:
            raise trial.diverged(str(error)) from error
        if checkpoints is not None:
            with trial.clock.checkpoints:
                trial.save(checkpoints)
        if line is None:
            return
        yield line


@dataclass(frozen=True)
class TrainingResult:
    """What a training that ran to its end has reported."""

    lines: tuple[Report, ...]
    """All lines of this attempt; of a resumed training, the checkpoint's first."""

    @property
    def last(self) -> Report:
        """The line at the training's end."""
        return self.lines[-1]

    @property
    def best(self) -> Report:
        """The first line with the highest validation accuracy."""
        return max(self.lines, key=lambda line: line.val_accuracy or 0.0)


def train(
    config: TrialConfig,
    data: TrialData,
    *,
    report: Callable[[Report], None] | None = None,
    device: torch.device,
    context: TrialContext = ALONE,
    checkpoints: Path | None = None,
    resume_from: Path | None = None,
    budget_seconds: float | None = None,
    report_instants: Sequence[float] = (),
    should_stop: Callable[[], bool] = never,
    on_batch: Callable[[float], None] = untold,
) -> TrainingResult:
    """Run `training` to its end and call `report` with each line; the rest is as there."""
    lines = []
    for line in training_loop(
        config,
        data,
        device=device,
        context=context,
        checkpoints=checkpoints,
        resume_from=resume_from,
        budget_seconds=budget_seconds,
        report_instants=report_instants,
        should_stop=should_stop,
        on_batch=on_batch,
    ):
        if report is not None:
            report(line)
        lines.append(line)
    return TrainingResult(tuple(lines))
