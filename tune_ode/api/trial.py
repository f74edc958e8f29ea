"""A trial of a run: its configuration, results and model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from analysis.params import compact_params
from tune_ode.config import TrialConfig
from tune_ode.config.data import relocated
from tune_ode.paths import RunPath, address
from tune_ode.records import read_manifest
from tune_ode.runs.relocation import run_dataset

if TYPE_CHECKING:
    from tune_ode.prediction import TestScore
    from tune_ode.training import SavedModel


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trial, as the default ranking of its run shows it; None: not measured, or not ranked."""

    run: RunPath
    """Directory or URL of its run."""
    id: str
    """Its number in the run, such as `0007`."""
    outcome: str
    """`completed`, `stopped`, `diverged`, `out_of_memory`, `failed`, `interrupted`, `running`."""
    reason: str
    """Why it ended so; may be empty."""
    device: str | None
    """`cpu`, or the name of the GPU."""
    params: dict[str, Any]
    """Its searched values, by name."""
    rank: int | None
    """Place in the ranking of its device."""
    accuracy: float | None
    """Validation accuracy in [0, 1] after `seconds`."""
    seconds: float | None
    """Seconds of training after which accuracy per second is best."""
    rate: float | None
    """Accuracy above chance per second."""
    rate_low: float | None
    rate_high: float | None
    """95 % interval of `rate`."""
    best_accuracy: float | None
    """Highest validation accuracy."""
    config_values: dict[str, Any] = field(repr=False)
    """Its complete configuration, as written."""

    @classmethod
    def from_row(cls, run: RunPath, config: dict[str, Any], row: dict[str, Any]) -> Self:
        """Return a trial from a row of the ranking's records."""
        same = (
            "outcome", "reason", "device", "params", "rank", "seconds", "rate_low", "rate_high",
            "best_accuracy",
        )  # fmt: skip
        return cls(
            run=run,
            id=row["trial_id"],
            config_values=config,
            accuracy=row["val_accuracy"],
            rate=row["accuracy_per_second"],
            **{name: row[name] for name in same},
        )

    @property
    def config(self) -> TrialConfig:
        """Its complete configuration, with the current path of the run's images.

        Raises:
            ConfigurationError: it is not valid, as after a change of its file.
        """
        dataset = run_dataset(read_manifest(self.run))
        return TrialConfig.from_dict(relocated(self.config_values, dataset))

    @property
    def name(self) -> str:
        """RUN:TRIAL, as in the command line."""
        return f"{address(self.run)}:{self.id}"

    def load_model(self, device: str = "cpu") -> SavedModel:
        """Load the model with the best validation accuracy.

        Args:
            device: where to put it, such as `cpu` or `cuda`.

        Returns:
            The model in evaluation mode, its class names, and how to normalize images.

        Raises:
            UsageError: the trial saved no model.
        """
        import torch

        from tune_ode.api.session import session
        from tune_ode.prediction import best_model

        with session():
            return best_model(self.run, self.id, torch.device(device))

    def test(self, *, data_dir: Path | None = None) -> TestScore:
        """Evaluate the model with the best validation accuracy on the test set.

        A choice between trials by this score is not a fair estimate of their accuracy; `confirm`
        gives one.

        Args:
            data_dir: directory of data sets.

        Raises:
            UsageError: the trial saved no model, or the data set is missing or has changed.
        """
        from tune_ode.api.session import session
        from tune_ode.prediction import score_on_test_set

        with session():
            return score_on_test_set(self.run, self.id, data_dir)

    def __str__(self) -> str:
        values = [f"trial {self.id} {self.outcome}"]
        if self.accuracy is not None and self.seconds is not None:
            values.append(f"{self.accuracy:.2%} validation accuracy after {self.seconds:.3g} s")
        return ", ".join([*values, compact_params(self.params)])
