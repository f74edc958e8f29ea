"""Images: from the name of a data set to augmented batches on the training device.

`load` → `ImageData` (memory-mapped) → `trial_data` → `TrialData` (batches on the device).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tune_ode.data.fingerprint import Fingerprint, fingerprint, require_unchanged
from tune_ode.data.images import Decoding, ImageData, Levels
from tune_ode.data.load import load
from tune_ode.data.paths import data_folder, requested_data_folder
from tune_ode.data.pixels import PixelStatistics
from tune_ode.data.sources import absolute_dataset, absolute_paths
from tune_ode.data.sources.read import read_all, read_image
from tune_ode.data.splits import Split, chance_accuracy, overlaps, split

if TYPE_CHECKING:
    from tune_ode.data.batches import EvaluationBatches, TrainBatches
    from tune_ode.data.trial import TrialData, evaluation_batches, trial_data

__all__ = [
    "Decoding",
    "EvaluationBatches",
    "Fingerprint",
    "ImageData",
    "Levels",
    "PixelStatistics",
    "Split",
    "TrainBatches",
    "TrialData",
    "absolute_dataset",
    "absolute_paths",
    "chance_accuracy",
    "data_folder",
    "evaluation_batches",
    "fingerprint",
    "load",
    "overlaps",
    "read_all",
    "read_image",
    "requested_data_folder",
    "require_unchanged",
    "split",
    "trial_data",
]

# imported lazily: they need torch, whose import takes seconds
_WITH_TORCH = {
    "EvaluationBatches": "batches",
    "TrainBatches": "batches",
    "TrialData": "trial",
    "evaluation_batches": "trial",
    "trial_data": "trial",
}


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WITH_TORCH[name]}"), name)
