"""How far a training has come, and what it has summed up since its last epoch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from tune_ode.solvers import SolveStatistics


@dataclass
class Progress:
    """Epochs and batches done, and sums over the batches since the previous epoch's end.

    The sums stay on the device: to read them, the host would wait for it.
    """

    loss: Tensor
    """Sum of the batches' mean losses, float64 ()."""
    correct: Tensor
    """Training images classified correctly, int64 ()."""
    solves: SolveStatistics = field(default_factory=SolveStatistics)
    epoch: int = 0
    """Finished epochs."""
    batch: int = 0
    """Batches done since."""
    epoch_began: float = 0.0
    """`train_seconds` at the previous epoch's end."""
    best: float = -1.0
    """Best validation accuracy so far; below any before the first evaluation."""

    @classmethod
    def start(cls, device: torch.device) -> Progress:
        """Nothing done yet."""
        return cls(
            loss=torch.zeros((), dtype=torch.float64, device=device),
            correct=torch.zeros((), dtype=torch.int64, device=device),
        )

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count a batch: its mean loss (), logits (B, classes) and labels (B,)."""
        self.loss += loss.detach()
        self.correct += (logits.argmax(dim=1) == labels).sum()
        self.batch += 1

    def end_epoch(self, train_seconds: float) -> None:
        """Count an epoch and start the sums anew."""
        self.loss.zero_()
        self.correct.zero_()
        self.solves = SolveStatistics()
        self.epoch, self.batch = self.epoch + 1, 0
        self.epoch_began = train_seconds

    def state_dict(self) -> dict[str, Any]:
        """Return plain values; waits for the device."""
        return {
            "loss": self.loss.item(),
            "correct": self.correct.item(),
            "solves": asdict(self.solves),
            "epoch": self.epoch,
            "batch": self.batch,
            "epoch_began": self.epoch_began,
            "best": self.best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from saved values."""
        self.loss.fill_(state["loss"])
        self.correct.fill_(state["correct"])
        self.solves = SolveStatistics(**state["solves"])
        self.epoch, self.batch = state["epoch"], state["batch"]
        self.epoch_began, self.best = state["epoch_began"], state["best"]
