"""The compared trainings: the classic recipe, and the same network trained by this package."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from benchmarks.harness.reference import ReferenceTraining
from tune_ode.config import TrialConfig
from tune_ode.data import evaluation_batches, load, trial_data
from tune_ode.training.context import TrialContext
from tune_ode.training.evaluation import evaluate
from tune_ode.training.trial import Trial

IMAGES = 2_048
HELD_OUT = 2_000


@dataclass(frozen=True)
class Case:
    """A solver and gradient method, run by the reference and by this package."""

    method: str
    gradient: str
    recommended: str
    """The recommended gradient method for this solver."""


CASES = {
    "backprop dopri5": Case("dopri5", "backprop", "backprop"),
    "adjoint euler": Case("euler", "adjoint", "backprop"),
    "adjoint rk4": Case("rk4", "adjoint", "backprop"),
    "adjoint dopri5": Case("dopri5", "adjoint", "backprop"),
}


class Training(Protocol):
    """A training to be timed."""

    def epoch(self, batches: int | None = None) -> float:
        """Train one epoch, or its first `batches` batches, and return the mean loss."""

    def evaluations(self) -> tuple[float, float]:
        """Return function evaluations per batch of the last epoch, forward and backward."""

    def score(self) -> float:
        """Return the accuracy on held-out images."""

    def warm_up_seconds(self) -> float | None:
        """Return the seconds before the first batch, or None if not measured."""


class Reference:
    """Training with the classic recipe."""

    def __init__(self, case: Case, data_dir: Path, device: torch.device, seed: int) -> None:
        self.training = ReferenceTraining(
            case.method,
            adjoint=case.gradient == "adjoint",
            data_dir=data_dir,
            images=IMAGES,
            device=device,
            seed=seed,
        )
        self.held_out = load(ours(case, case.gradient).data, data_dir)
        self.device = device

    def epoch(self, batches: int | None = None) -> float:
        """Train one epoch."""
        return self.training.epoch(batches)

    def evaluations(self) -> tuple[float, float]:
        """Return function evaluations per batch."""
        return self.training.evaluations_forward, self.training.evaluations_backward

    def warm_up_seconds(self) -> float | None:
        """Return None, because the reference has no warm-up."""
        return None

    def score(self) -> float:
        """Return the accuracy on the first test images."""

        def batches() -> Iterator[tuple[Tensor, Tensor]]:
            for start in range(0, HELD_OUT, 500):
                part = slice(start, start + 500)
                images = torch.tensor(self.held_out.test_images[part]).float() / 255
                labels = torch.tensor(self.held_out.test_labels[part])
                yield images.to(self.device), labels.to(self.device)

        return self.training.accuracy(batches())


class Ours:
    """Training of the same network by this package."""

    def __init__(
        self, config: TrialConfig, data_dir: Path, device: torch.device, seed: int
    ) -> None:
        images = load(config.data, data_dir)
        self.trial = Trial(config, trial_data(images, config, device), device, TrialContext())
        self.held_out = images
        self.device = device
        self._evaluations = (0.0, 0.0)

    def epoch(self, batches: int | None = None) -> float:
        """Train one epoch, or its first `batches` batches."""
        done = 0

        def enough() -> bool:
            nonlocal done
            done += 1
            return batches is not None and done >= batches

        trial = self.trial
        trial.train_until(math.inf, enough, lambda epoch: None)
        progress = trial.progress
        loss = progress.loss.item() / progress.batch
        solves = progress.solves
        self._evaluations = (
            solves.evaluations_forward / progress.batch,
            solves.evaluations_backward / progress.batch,
        )
        progress.end_epoch(trial.clock.train.seconds)
        return loss

    def evaluations(self) -> tuple[float, float]:
        """Return function evaluations per batch."""
        return self._evaluations

    def warm_up_seconds(self) -> float | None:
        """Return the seconds of the warm-up, including compilation."""
        return self.trial.clock.warmup.seconds

    def score(self) -> float:
        """Return the accuracy on the first test images."""
        batches = evaluation_batches(
            self.held_out.test_images[:HELD_OUT],
            self.held_out.test_labels[:HELD_OUT],
            self.trial.data.statistics,
            self.device,
        )
        return evaluate(self.trial.model, batches)[1]


def ours(case: Case, gradient: str, seed: int = 0, **execution: Any) -> TrialConfig:
    """Return the configuration of the equivalent training by this package."""
    values: dict[str, Any] = {
        "data.dataset": "mnist",
        # a fifth is held out for validation
        "data.train_images": IMAGES * 5 // 4,
        "data.augmentation.crop": 4,
        "solver.method": case.method,
        "solver.gradient": gradient,
        "optimizer.learning_rate": 0.1,
        "schedule.name": "constant",
        "training.epochs": 10_000,
        "seed": seed,
        **{f"execution.{name}": value for name, value in execution.items()},
    }
    return TrialConfig().with_values(values)


def build(
    case: Case, config: TrialConfig | None, data_dir: Path, device: torch.device, seed: int
) -> Training:
    """Return the training of a case after its warm-up."""
    if config is None:
        return Reference(case, data_dir, device, seed)
    return Ours(config.model_copy(update={"seed": seed}), data_dir, device, seed)
