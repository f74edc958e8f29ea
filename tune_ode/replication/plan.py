"""Configurations that are trained one at a time, each with the same seeds: what a plan must say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from tune_ode.config import TrialConfig
from tune_ode.machine.resources import TrialResources


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A configuration to be trained with several seeds."""

    confirms: str
    """The trial that has it, or `records.DEFAULT`; in a comparison, the name of its case."""
    config: TrialConfig
    params: dict[str, Any]

    def seeded(self, seed: int) -> TrialConfig:
        """Return its configuration with another seed."""
        return self.config.model_copy(update={"seed": seed})


@dataclass(frozen=True, kw_only=True)
class TrainingPlan(ABC):
    """Which configurations are trained, with which seeds, on what."""

    candidates: tuple[Candidate, ...]
    seeds: tuple[int, ...]
    resources: TrialResources
    data_dir: str | None
    report_instants: tuple[float, ...] = ()
    """`train_seconds` at which to report inside an epoch."""
    evaluate_test: ClassVar[bool] = False
    """Whether every report is measured on the test set, too; the model is not examined then."""

    @property
    def budget_seconds(self) -> float | None:
        """`train_seconds` of each training; None: its epochs end it."""
        return None

    @property
    def report_timeout(self) -> float | None:
        """A training without a word for so long is stuck; None: it may be silent."""
        return None

    @property
    @abstractmethod
    def resume_command(self) -> str:
        """The command that continues it."""
