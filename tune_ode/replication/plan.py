"""Plan of trainings: configurations that are each trained with the same seeds, one at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from tune_ode.config import TrialConfig
from tune_ode.data import Fingerprint
from tune_ode.machine.resources import TrialResources
from tune_ode.paths import RunPath
from tune_ode.records import RunManifest


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A configuration to train with several seeds."""

    confirms: str
    """The trial that has it, or `records.DEFAULT`; in a comparison, the name of its case."""
    config: TrialConfig
    params: dict[str, Any]
    """The values that distinguish it, by name."""

    def with_seed(self, seed: int) -> TrialConfig:
        """Return the configuration with another seed."""
        return self.config.model_copy(update={"seed": seed})


@dataclass(frozen=True, kw_only=True)
class TrainingPlan(ABC):
    """Configurations, seeds and resources of a confirmation or comparison."""

    folder: RunPath
    """Path or URL of its run directory."""
    candidates: tuple[Candidate, ...]
    seeds: tuple[int, ...]
    resources: TrialResources
    data_dir: str | None
    """As requested; None: a per-user directory."""
    fingerprint: Fingerprint
    """Of the images."""
    notes: tuple[str, ...] = ()
    """Files of the data set that were passed over."""
    budget_seconds: float | None = None
    """Budget of `train_seconds` per training; None: epochs are the only limit."""
    report_instants: tuple[float, ...] | None = None
    """`train_seconds` at which to report; None: at the end of each epoch."""
    report_timeout: float | None = None
    """Seconds without an event after which a training counts as hung; None: never."""
    evaluate_test: ClassVar[bool] = False
    """Measure every report on the test set too, and skip the post-training evaluation."""

    @property
    def dataset(self) -> str:
        """`DataConfig.dataset` of all trainings."""
        return self.candidates[0].config.data.dataset

    @abstractmethod
    def manifest(self) -> RunManifest:
        """Return the manifest of its run."""
