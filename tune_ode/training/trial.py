"""A trial in training: all of its state, and the steps that change it."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from tune_ode.classifier import build_classifier
from tune_ode.config import TrialConfig
from tune_ode.data import TrialData
from tune_ode.errors import TuneOdeError
from tune_ode.records import BEST_CHECKPOINT, LAST_CHECKPOINT, Report
from tune_ode.training import checkpoints
from tune_ode.training.clock import TrialClock
from tune_ode.training.evaluation import evaluate
from tune_ode.training.memory import disable_malloc_trim
from tune_ode.training.optimizers import build_optimizer, scale_learning_rates
from tune_ode.training.progress import Progress
from tune_ode.training.random_state import RandomState
from tune_ode.training.schedules import build_schedule
from tune_ode.training.warmup import warm_up

GPU_CHECK_EVERY = 32
"""Batches between two looks at the loss on a GPU, whose queue each one empties; a CPU has none."""


def device_name(device: torch.device) -> str:
    """Return what report lines call a device: `cpu`, or the GPU's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


class Diverged(TuneOdeError):
    """A training whose loss is not finite, or whose ODE cannot be solved; ends as `diverged`."""


@dataclass(frozen=True)
class TrialContext:
    """What a training is told of its surroundings, for its report lines."""

    trial_id: str = "0001"
    attempt: int = 1
    """Counts the trial's starts from 1."""
    concurrent_trials: int | Callable[[], int] = 1
    """Trials that share the node, this one included; a function is asked at each report."""
    setup_seconds: float | None = None
    """What the process spent on the trial before its training began."""
    now: Callable[[], float] = time.perf_counter
    """The monotonic clock that times the training, in seconds."""


class Trial:
    """A classifier in training: built from its seed, warmed up, ready for the first batch.

    Args:
        config: what is trained, and how.
        data: its images, on the device.
        device: the training device.
        context: what its report lines say of its surroundings.
    """

    def __init__(
        self, config: TrialConfig, data: TrialData, device: torch.device, context: TrialContext
    ) -> None:
        self.config, self.data, self.device, self.context = config, data, device, context
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            disable_malloc_trim()
        self.clock = TrialClock(device, context.now)
        self.random = RandomState(config.seed, device)
        with self.random:
            self.model = build_classifier(
                config.model,
                config.solver,
                input_shape=data.shape,
                classes=data.classes,
                execution=config.execution,
            ).place(device)
        self.optimizer = build_optimizer(config.optimizer, self.model)
        self.schedule = build_schedule(config.schedule)
        self.progress = Progress.start(device)
        self.line: Report | None = None
        """The last report; of a resumed trial, at first the checkpoint's."""
        with self.clock.warmup:
            held_out, _ = next(iter(data.validation))
            warm_up(self.model, self.optimizer, data.train.dummy(), held_out)

    @property
    def epoch(self) -> float:
        """Epochs trained, a fraction inside one."""
        return self.progress.epoch + self.progress.batch / len(self.data.train)

    @property
    def reported(self) -> float:
        """`train_seconds` of the last report; 0 before the first."""
        return self.line.train_seconds if self.line else 0.0

    @property
    def learning_rate(self) -> float:
        """The last batch's; before the first batch that one's."""
        return self.config.optimizer.learning_rate * self._rate(max(0, self._batches_done - 1))

    def train_until(
        self, instant: float, should_stop: Callable[[], bool], on_batch: Callable[[float], None]
    ) -> bool:
        """Train to the epoch's end, or to the end of the first batch at or after an instant.

        Args:
            instant: in `train_seconds`; infinity for the epoch's end.
            should_stop: asked after each batch short of the instant; where it agrees, it rests.
            on_batch: told `epoch` after each batch.

        Returns:
            Whether it was asked to stop.

        Raises:
            Diverged: the loss is not finite.
            SolveFailed: a solve met one of its bounds.
        """
        settings, progress, batches = self.config.training, self.progress, self.data.train
        check_every = 1 if self.device.type == "cpu" else GPU_CHECK_EVERY
        parameters = list(self.model.parameters())
        stopped = False
        self.model.train()
        self.model.reset_statistics()
        with self.random, self.clock.train:
            for images, labels in batches.epoch(progress.epoch, progress.batch):
                scale_learning_rates(self.optimizer, self._rate(self._batches_done))

                logits = self.model(images)
                loss = functional.cross_entropy(
                    logits, labels, label_smoothing=settings.label_smoothing
                )
                self.optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                if settings.gradient_clip is not None:
                    nn.utils.clip_grad_norm_(parameters, settings.gradient_clip)
                self.optimizer.step()

                progress.add(loss, logits, labels)
                if progress.batch % check_every == 0:
                    self._require_finite("training", progress.loss.item())
                on_batch(self.epoch)
                # by the host's clock, ahead of a GPU by its queue: the block's end waits for it
                if self.clock.train.read() >= instant:
                    break
                if stopped := should_stop():
                    break
        self._require_finite("training", progress.loss.item())
        progress.solves += self.model.statistics
        return stopped

    def report(self) -> Report:
        """Evaluate, and end the epoch where all its batches are done.

        Raises:
            Diverged: the validation loss is not finite.
            SolveFailed: a solve met one of its bounds.
        """
        progress = self.progress
        test: tuple[float | None, float | None] = (None, None)
        with self.clock.evaluation:
            validation = evaluate(self.model, self.data.validation)
            if self.data.test is not None:
                test = evaluate(self.model, self.data.test)
        self._require_finite("validation", validation[0])
        self.line = self._measure(validation, test)
        if progress.batch == len(self.data.train):
            self.schedule.end_epoch(progress.loss.item() / progress.batch)
            progress.end_epoch(self.clock.train.seconds)
        return self.line

    def save(self, folder: Path) -> None:
        """Write the `last` checkpoint, and before it `best` where the last report improved on it.

        In this order a crash between the two repeats both; in the other, `best` would stay behind.

        Raises:
            StorageFull: the disk is full.
            RunFolderError: a file cannot be written for another reason.
        """
        model = checkpoints.model_state(self.model, self.config, self.data)
        accuracy = self.line.val_accuracy if self.line else None
        if accuracy is not None and accuracy > self.progress.best:
            checkpoints.write_checkpoint(folder / BEST_CHECKPOINT, model)
            self.progress.best = accuracy
        training = {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": self.random.state_dict(),
            "clock": self.clock.state_dict(),
            "progress": self.progress.state_dict(),
            "line": self.line.to_json() if self.line else None,
        }
        checkpoints.write_checkpoint(folder / LAST_CHECKPOINT, model | {"training": training})

    def resume(self, path: Path) -> None:
        """Go on where a `last` checkpoint was written.

        Raises:
            ConfigurationError: the checkpoint is of another configuration.
            RunFolderError: there is none, it is damaged, or it does not fit the data.
        """
        saved = checkpoints.read_checkpoint(path)
        checkpoints.require_same_trial(path, saved, self.config)
        training = saved["training"]
        try:
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(training["optimizer"])
            self.schedule.load_state_dict(training["schedule"])
            self.random.load_state_dict(training["random"])
            self.clock.load_state_dict(training["clock"])
            self.progress.load_state_dict(training["progress"])
            line = training["line"]
            self.line = None if line is None else Report.from_json(line)
        except checkpoints.LOAD_ERRORS as error:
            raise checkpoints.incompatible(path, error) from error

    def diverged(self, what: str) -> Diverged:
        """Return the error that ends this trial, with where it happened."""
        return Diverged(f"{what} (epoch {self.epoch:.4g}, learning rate {self.learning_rate:.3g})")

    @property
    def _batches_done(self) -> int:
        return self.progress.epoch * len(self.data.train) + self.progress.batch

    def _rate(self, batch: int) -> float:
        return self.schedule.rate(batch / (self.config.training.epochs * len(self.data.train)))

    def _require_finite(self, split: str, loss: float) -> None:
        if not math.isfinite(loss):
            raise self.diverged(
                f"the {split} loss is not finite; lower optimizer.learning_rate, "
                "warm up longer, or set training.gradient_clip"
            )

    def _measure(
        self, validation: tuple[float, float], test: tuple[float | None, float | None]
    ) -> Report:
        progress, clock, context = self.progress, self.clock, self.context
        batches = progress.batch
        images = batches * self.data.train.batch_size
        seconds = clock.train.seconds - progress.epoch_began
        on_gpu = self.device.type == "cuda"
        sharing = context.concurrent_trials
        return Report(
            trial_id=context.trial_id,
            attempt=context.attempt,
            timestamp=time.time(),
            epoch=self.epoch,
            train_seconds=clock.train.seconds,
            warmup_seconds=clock.warmup.seconds,
            epoch_seconds=seconds,
            eval_seconds=clock.evaluation.seconds,
            wall_seconds=clock.wall,
            cpu_seconds=clock.cpu,
            train_loss=progress.loss.item() / batches,
            train_accuracy=progress.correct.item() / images,
            val_loss=validation[0],
            val_accuracy=validation[1],
            nfe_forward=progress.solves.evaluations_forward / batches,
            nfe_backward=progress.solves.evaluations_backward / batches,
            vjp_backward=progress.solves.vjp_backward / batches,
            solver_steps=progress.solves.steps / batches,
            rejected_steps=progress.solves.rejected_steps / batches,
            learning_rate=self.learning_rate,
            samples_per_second=images / seconds if seconds > 0 else None,
            peak_memory_bytes=torch.cuda.max_memory_allocated(self.device) if on_gpu else None,
            device=device_name(self.device),
            node=socket.gethostname(),
            concurrent_trials=sharing if isinstance(sharing, int) else sharing(),
            train_cpu_seconds=clock.train.cpu_seconds,
            setup_seconds=context.setup_seconds,
            checkpoint_seconds=clock.checkpoints.seconds,
            test_loss=test[0],
            test_accuracy=test[1],
        )
