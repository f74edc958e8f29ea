"""The ODE block of a briefly trained classic classifier, with batches of its training."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.harness.trainings import CASES, ours
from tune_ode.classifier.ode_block import OdeBlock
from tune_ode.config import SolverConfig
from tune_ode.data import load, trial_data
from tune_ode.training.context import TrialContext
from tune_ode.training.trial import Trial


def solver(fields: dict[str, Any], gradient: str) -> SolverConfig:
    """Return a solver's configuration."""
    return TypeAdapter(SolverConfig).validate_python({**fields, "gradient": gradient})


class TrainedBlock:
    """A block with 64 channels of 6×6, trained on MNIST with dopri5 and the mean cross-entropy.

    Args:
        size: images of a batch; the learning rate is 0.1 · size / 128.
        data_dir: directory with MNIST/raw.
        device: where to train and measure.
        trained: batches to train.
        further: batches to measure with.
    """

    def __init__(
        self, size: int, data_dir: Path, device: torch.device, *, trained: int, further: int
    ) -> None:
        config = ours(CASES["backprop dopri5"], "backprop").with_values(
            {
                # a fifth is held out for validation
                "data.train_images": (trained + further) * size * 5 // 4,
                "training.batch_size": size,
                "optimizer.learning_rate": 0.1 * size / 128,
            }
        )
        data = trial_data(load(config.data, data_dir), config, device)
        trial = Trial(config, data, device, TrialContext())
        trial.train_until(math.inf, lambda: trial.progress.batch >= trained)
        (self._block,) = trial.model.blocks
        self._head, self._ode = trial.model.head, config.model.ode
        with torch.no_grad():
            self.batches = [
                (trial.model.stem(images), labels)
                for images, labels in data.train.epoch(0, trained)
            ]

    def block(self, config: SolverConfig) -> OdeBlock:
        """Return the block with another solver and no carried step sizes."""
        state = self.batches[0][0]
        block = OdeBlock(state.shape[1], self._ode, config).to(state.device)
        block.load_state_dict(self._block.state_dict())
        block.step_sizes = {}
        return block

    def head(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        """Return a copy of the classifier's head."""
        return copy.deepcopy(self._head).to(dtype)


def mean_loss(block: OdeBlock, head: nn.Module, state: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of a batch."""
    return functional.cross_entropy(head(block(state)), labels)
