"""State of a trial in training, and the operations on it."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from tune_ode.classifier import build_classifier
from tune_ode.config import TrialConfig
from tune_ode.data import TrialData
from tune_ode.records import BEST_CHECKPOINT, LAST_CHECKPOINT, Report
from tune_ode.training import checkpoints
from tune_ode.training.clock import TrialClock, synchronize
from tune_ode.training.context import Diverged, TrialContext, device_name
from tune_ode.training.evaluation import evaluate, sample_size
from tune_ode.training.memory import disable_malloc_trim
from tune_ode.training.optimization.horizon import batches_within
from tune_ode.training.optimization.optimizers import build_optimizer, follow_schedule
from tune_ode.training.optimization.schedules import build_schedule
from tune_ode.training.precision import uses_tf32
from tune_ode.training.progress import Progress
from tune_ode.training.random_state import RandomState
from tune_ode.training.warmup import restored, warm_up

GPU_CHECK_EVERY = 32
"""Batches between two checks of the loss on a GPU, each of which synchronizes."""


class Trial:
    """A classifier in training: built from its seed and warmed up.

    Args:
        config: configuration of the trial.
        data: images on the device.
        device: training device.
        context: attempt and environment, for the reports.
        budget: `train_seconds` into which to fit a horizon that is not set.
    """

    def __init__(
        self,
        config: TrialConfig,
        data: TrialData,
        device: torch.device,
        context: TrialContext,
        budget: float = math.inf,
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
        self.last_report: Report | None = None
        """The last report; after a resume, that of the checkpoint."""
        with self.clock.warmup:
            held_out, _ = next(iter(data.validation))
            warm_up(self.model, self.optimizer, data.train.dummy(), held_out)
            if config.training.horizon is None and budget < math.inf:
                with restored(self.model, self.optimizer):
                    fit = batches_within(budget, self._steps(), context.now, most=self.horizon)
                self._set_horizon(fit)

    @property
    def batches(self) -> int:
        """Batches trained so far."""
        return self.progress.epoch * len(self.data.train) + self.progress.batch

    @property
    def epoch(self) -> float:
        """Epochs trained so far, a fraction within an epoch."""
        return self.batches / len(self.data.train)

    @property
    def horizon(self) -> int:
        """Batches after which training and schedule end."""
        epochs = self.config.training.epochs * len(self.data.train)
        return min(self.config.training.horizon or epochs, epochs)

    @property
    def reported_seconds(self) -> float:
        """`train_seconds` of the last report; 0 before the first."""
        return self.last_report.train_seconds if self.last_report else 0.0

    @property
    def learning_rate(self) -> float:
        """Learning rate of the last batch, or of the first one before it."""
        done = max(0, self.batches - 1) / self.horizon
        return self.config.optimizer.learning_rate * self.schedule.rate(done)

    def train_until(
        self,
        instant: float,
        should_stop: Callable[[], bool] = lambda: False,
        on_batch: Callable[[float], None] | None = None,
    ) -> bool:
        """Train to an instant, or to the end of the epoch or of the training if that is earlier.

        Args:
            instant: in `train_seconds`; training stops after the first batch at or after it.
            should_stop: called after each batch before that; if true, training stops.
            on_batch: called with `epoch` after each batch.

        Returns:
            Whether `should_stop` ended the training.

        Raises:
            Diverged: the loss is not finite.
            SolveFailed: a solve violated one of its bounds.
        """
        progress, batches = self.progress, self.data.train
        check_every = 1 if self.device.type == "cpu" else GPU_CHECK_EVERY
        stopped = False
        if progress.batch == len(batches):
            self.schedule.end_epoch(progress.loss.item() / progress.batch)
            progress.end_epoch(self.clock.train.seconds)
        self.model.train()
        self.model.reset_statistics()
        with self.random, self.clock.train:
            for images, labels in batches.epoch(progress.epoch, progress.batch):
                progress.add(*self._step(images, labels), labels)
                if progress.batch % check_every == 0:
                    self._require_finite("training", progress.loss.item())
                if on_batch is not None:
                    on_batch(self.epoch)
                # host time, which a GPU's queue lags behind; the end of the block synchronizes
                ended = self.batches == self.horizon or progress.batch == len(batches)
                # an end comes before `should_stop`, so that no report is lost
                if self.clock.train.read() >= instant or ended or (stopped := should_stop()):
                    break
        self._require_finite("training", progress.loss.item())
        progress.solves += self.model.statistics
        return stopped

    def _step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Take a training step; return the loss () and the logits (B, classes)."""
        options = self.config.training
        done, schedule = self.batches / self.horizon, self.schedule
        follow_schedule(self.optimizer, schedule.rate(done), schedule.momentum(done))
        logits = self.model(images)
        loss = functional.cross_entropy(
            logits, labels, self.data.class_weights, label_smoothing=options.label_smoothing
        )
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if options.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), options.gradient_clip)
        self.optimizer.step()
        return loss, logits

    def _steps(self) -> Iterator[None]:
        self.model.train()
        for images, labels in self.data.train.epoch(0):
            self._step(images, labels)
            synchronize(self.device)
            yield

    def _set_horizon(self, batches: int) -> None:
        self.config = self.config.with_values({"training.horizon": batches})

    def report(self, *, complete: bool = True) -> Report:
        """Evaluate the model.

        Args:
            complete: whether to use all validation images, or a sample of `sample_size`.

        Raises:
            Diverged: the validation loss is not finite.
            SolveFailed: a solve violated one of its bounds.
        """
        test: tuple[float | None, float | None] = (None, None)
        with self.clock.evaluation:
            held_out = self.data.validation
            if not complete:
                held_out = held_out.first(sample_size(self.batches * self.data.train.batch_size))
            validation = evaluate(self.model, held_out)
            if self.data.test is not None:
                test = evaluate(self.model, self.data.test)
        self._require_finite("validation", validation[0])
        progress, clock, context = self.progress, self.clock, self.context
        images = progress.batch * self.data.train.batch_size
        seconds = clock.train.seconds - progress.epoch_start
        on_gpu = self.device.type == "cuda"
        concurrent = context.concurrent_trials
        self.last_report = Report(
            trial_id=context.trial_id,
            attempt=context.attempt,
            timestamp=time.time(),
            epoch=self.epoch,
            batches=self.batches,
            horizon=self.horizon,
            train_seconds=clock.train.seconds,
            warmup_seconds=clock.warmup.seconds,
            epoch_seconds=seconds,
            eval_seconds=clock.evaluation.seconds,
            wall_seconds=clock.wall,
            cpu_seconds=clock.cpu,
            train_accuracy=progress.correct.item() / images,
            val_loss=validation[0],
            val_accuracy=validation[1],
            val_images=held_out.images,
            learning_rate=self.learning_rate,
            samples_per_second=images / seconds if seconds > 0 else None,
            peak_memory_bytes=torch.cuda.max_memory_allocated(self.device) if on_gpu else None,
            device=device_name(self.device),
            node=socket.gethostname(),
            concurrent_trials=concurrent if isinstance(concurrent, int) else concurrent(),
            train_cpu_seconds=clock.train.cpu_seconds,
            train_waiting_seconds=clock.train.waiting_seconds,
            setup_seconds=context.setup_seconds,
            checkpoint_seconds=clock.checkpoints.seconds,
            test_loss=test[0],
            test_accuracy=test[1],
            execution_mode=self.model.execution_mode,
            tf32=uses_tf32(self.device),
            **progress.means(),
        )
        return self.last_report

    def save(self, folder: Path) -> None:
        """Write the checkpoint `best` if the last report is the best so far, then `last`.

        The best report is the most accurate of those on the most validation images. In this
        order, a resume after a crash between the two writes both again.

        Raises:
            StorageFull: the disk is full.
            RunFolderError: a file cannot be written for another reason.
        """
        model = checkpoints.model_state(self.model, self.config, self.data)
        report = self.last_report
        if report is not None and report.val_accuracy is not None:
            # an accuracy on a small sample may be higher by chance
            measured = (report.val_images or 0, report.val_accuracy)
            if measured > self.progress.best:
                checkpoints.write_checkpoint(folder / BEST_CHECKPOINT, model)
                self.progress.best = measured
        training = {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": self.random.state_dict(),
            "clock": self.clock.state_dict(),
            "progress": self.progress.state_dict(),
            "report": report.to_json() if report else None,
        }
        checkpoints.write_checkpoint(folder / LAST_CHECKPOINT, model | {"training": training})

    def resume(self, path: Path) -> None:
        """Restore the state of a `last` checkpoint.

        Raises:
            ConfigurationError: the checkpoint has another configuration.
            RunFolderError: it is missing, damaged, or incompatible with the data.
        """
        saved = checkpoints.read_checkpoint(path)
        checkpoints.require_same_trial(path, saved, self.config)
        training = saved["training"]
        try:
            self._set_horizon(saved["config"]["training"]["horizon"])
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(training["optimizer"])
            self.schedule.load_state_dict(training["schedule"])
            self.random.load_state_dict(training["random"])
            self.clock.load_state_dict(training["clock"])
            self.progress.load_state_dict(training["progress"])
            report = training["report"]
            self.last_report = None if report is None else Report.from_json(report)
        except checkpoints.LOAD_ERRORS as error:
            raise checkpoints.incompatible(path, error) from error

    def diverged(self, what: str) -> Diverged:
        """Return the error that ends this trial, with the epoch and the learning rate."""
        return Diverged(f"{what} (epoch {self.epoch:.4g}, learning rate {self.learning_rate:.3g})")

    def _require_finite(self, split: str, loss: float) -> None:
        if not math.isfinite(loss):
            raise self.diverged(
                f"the {split} loss is not finite; lower optimizer.learning_rate, "
                "use a longer warm-up, or set training.gradient_clip"
            )
