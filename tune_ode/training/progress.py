"""Progress of a training, and its sums since the last epoch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from tune_ode.solvers import SolveStatistics


@dataclass
class Progress:
    """Finished epochs and batches, and sums over the batches since the previous epoch.

    The sums stay on the device; reading them synchronizes.
    """

    loss: Tensor
    """Sum of the mean loss of each batch, float64 ()."""
    correct: Tensor
    """Training images classified correctly, int64 ()."""
    solves: SolveStatistics = field(default_factory=SolveStatistics)
    epoch: int = 0
    """Finished epochs."""
    batch: int = 0
    """Finished batches of the current epoch."""
    epoch_start: float = 0.0
    """`train_seconds` at the end of the previous epoch."""
    best: tuple[int, float] = (0, -1.0)
    """Validation images and accuracy of the best report; negative before the first."""

    @classmethod
    def start(cls, device: torch.device) -> Progress:
        """Return the progress of a new training."""
        return cls(
            loss=torch.zeros((), dtype=torch.float64, device=device),
            correct=torch.zeros((), dtype=torch.int64, device=device),
        )

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: mean loss (), logits (B, classes) and labels (B,)."""
        self.loss += loss.detach()
        self.correct += (logits.argmax(dim=1) == labels).sum()
        self.batch += 1

    def end_epoch(self, train_seconds: float) -> None:
        """Count an epoch and reset the sums."""
        self.loss.zero_()
        self.correct.zero_()
        self.solves = SolveStatistics()
        self.epoch, self.batch = self.epoch + 1, 0
        self.epoch_start = train_seconds

    def means(self) -> dict[str, Any]:
        """Return the fields of a `Report` that are means per batch; synchronizes."""
        solves = self.solves
        sums = {
            "train_loss": self.loss.item(),
            "nfe_forward": solves.evaluations_forward,
            "nfe_backward": solves.evaluations_backward,
            "vjp_backward": solves.vjp_backward,
            "solver_steps": solves.steps,
            "rejected_steps": solves.rejected_steps,
        }
        return {name: value / self.batch for name, value in sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return plain values; synchronizes with the device."""
        return {
            "loss": self.loss.item(),
            "correct": self.correct.item(),
            "solves": asdict(self.solves),
            "epoch": self.epoch,
            "batch": self.batch,
            "epoch_start": self.epoch_start,
            "best_images": self.best[0],
            "best": self.best[1],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore saved values."""
        self.loss.fill_(state["loss"])
        self.correct.fill_(state["correct"])
        self.solves = SolveStatistics(**state["solves"])
        self.epoch, self.batch = state["epoch"], state["batch"]
        self.epoch_start = state["epoch_start"]
        self.best = (state.get("best_images", 0), state["best"])
