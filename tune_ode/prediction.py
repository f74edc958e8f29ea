"""Predictions of a saved model for image files or the test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tune_ode.config import TrialConfig
from tune_ode.config.data import relocated
from tune_ode.data import Decoding, evaluation_batches, load, read_all, require_unchanged
from tune_ode.errors import UsageError
from tune_ode.paths import RunPath, local_copy
from tune_ode.process.limits import usable_cores
from tune_ode.records import BEST_CHECKPOINT, TRIALS, read_manifest
from tune_ode.runs.relocation import run_dataset
from tune_ode.training import SavedModel, evaluate, load_model


@dataclass(frozen=True)
class Prediction:
    """The most probable class of one image."""

    image: str
    class_name: str
    probability: float
    """Softmax probability, in [0, 1]; not calibrated."""

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.image}  {self.class_name}  {self.probability:.4f}"


@dataclass(frozen=True)
class TestScore:
    """Result of a model on the test set."""

    accuracy: float
    loss: float
    images: int


def predict(run: RunPath, trial_id: str, images: Sequence[Path]) -> list[Prediction]:
    """Classify image files with a trial's best model, on the CPU.

    Images are decoded as those that the model was trained on.

    Raises:
        UsageError: the trial has no saved model, or files are not usable images.
    """
    device = torch.device("cpu")
    saved = best_model(run, trial_id, device)
    decoding = Decoding(saved.config.data.background, saved.statistics.levels)
    pixels, _ = read_all(images, saved.shape, decoding)
    no_labels = np.zeros(len(images), np.int64)
    batches = evaluation_batches(pixels, no_labels, saved.statistics, device)
    with torch.inference_mode():
        logits = torch.cat([saved.model(batch) for batch, _ in batches])
    probabilities, classes = logits.float().softmax(1).max(1)
    return [
        Prediction(str(path), saved.class_names[int(index)], float(probability))
        for path, index, probability in zip(images, classes, probabilities, strict=True)
    ]


def score_on_test_set(run: RunPath, trial_id: str, data_dir: Path | None) -> TestScore:
    """Evaluate a trial's best model on the test set, on a GPU if available.

    Raises:
        UsageError: the trial has no saved model, or the data set is missing or has changed: what
            the model was trained on may now be in the test set.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    saved = best_model(run, trial_id, device)
    data = load(saved.config.data, data_dir)
    require_unchanged(data, read_manifest(run).fingerprint, str(run), "train again")
    batches = evaluation_batches(data.test_images, data.test_labels, saved.statistics, device)
    loss, accuracy = evaluate(saved.model, batches)
    return TestScore(accuracy=accuracy, loss=loss, images=len(data.test_labels))


def best_model(run: RunPath, trial_id: str, device: torch.device) -> SavedModel:
    """Load a trial's best model; its configuration has the current path of the run's images.

    Raises:
        UsageError: the trial has no saved model.
    """
    path = run / TRIALS / trial_id / BEST_CHECKPOINT
    if not path.exists():
        raise UsageError(
            f"trial {trial_id} of {run} saved no model; list the trials with: tune-ode rank {run}"
        )
    # torch counts the cores, but not a container's quota of them
    torch.set_num_threads(min(torch.get_num_threads(), usable_cores().count))
    with local_copy(path) as file:
        saved = load_model(file, device)
    config = relocated(saved.config.to_dict(), run_dataset(read_manifest(run)))
    return replace(saved, config=TrialConfig.from_dict(config))
