"""Checkpoints: `last` to resume a training, `best` for prediction.

A checkpoint is a dict of tensors and plain values, read without executing code
(`weights_only=True`):

    format         a number; other formats are rejected
    model          the classifier's state_dict
    config         `TrialConfig.to_dict()`
    class_names    list of str
    shape          [C, H, W] of the images
    statistics     {"mean": [...], "std": [...]} of the pixels per channel, and "levels": None, or
                   [depth, black, white] of images with more than 8 bits
    training       only in `last`: state for a resume, in addition to the model
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from tune_ode.classifier import Classifier, build_classifier
from tune_ode.config import TrialConfig
from tune_ode.config.data import relocated
from tune_ode.config.trial import dotted_paths
from tune_ode.data import Levels, PixelStatistics, TrialData
from tune_ode.errors import DISK_FULL, ConfigurationError, RunFolderError, StorageFull
from tune_ode.process.device_errors import find_memory_error
from tune_ode.records import is_intact_archive, open_regular, write_atomic
from tune_ode.text import without_controls

FORMAT = 2
LOAD_ERRORS = (RuntimeError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True)
class SavedModel:
    """A trained classifier with the information to use it on new images."""

    model: Classifier
    """In evaluation mode."""
    config: TrialConfig
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]
    """(C, H, W) of the training images."""
    statistics: PixelStatistics
    """Mean and standard deviation by which pixels are normalized."""


def model_state(model: Classifier, config: TrialConfig, data: TrialData) -> dict[str, Any]:
    """Return a checkpoint for prediction."""
    return {
        "format": FORMAT,
        "model": model.state_dict(),
        "config": config.to_dict(),
        "class_names": list(data.class_names),
        "shape": list(data.shape),
        "statistics": {
            "mean": [float(value) for value in data.statistics.mean],
            "std": [float(value) for value in data.statistics.std],
            "levels": data.statistics.levels and list(data.statistics.levels),
        },
    }


def write_checkpoint(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically.

    Raises:
        StorageFull: there is no space left, or a file-size limit was reached.
        RunFolderError: the file cannot be written for another reason.
    """
    # serialized in memory first: torch reports a full disk as a RuntimeError of its zip writer
    buffer = io.BytesIO()
    torch.save(dict(checkpoint), buffer)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, buffer.getbuffer())
    except OSError as error:
        problem = f"cannot write the checkpoint {path}: {error.strerror}"
        if error.errno in DISK_FULL:
            raise StorageFull(f"{problem}; free some space, then resume the run") from error
        raise RunFolderError(f"{problem}; check the directory") from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        RunFolderError: the file is missing, damaged or has another format.
    """
    try:
        with open_regular(path, os.O_RDONLY) as file:
            checkpoint = _load(file)
    except FileNotFoundError:
        raise RunFolderError(f"there is no checkpoint {path}; check the path") from None
    except OSError as error:
        raise RunFolderError(
            f"cannot read the checkpoint {path} ({error.strerror}); check its permissions"
        ) from error
    if checkpoint is None:
        raise RunFolderError(
            f"{path} is damaged or not a checkpoint; use another one, or train again"
        )
    if not isinstance(checkpoint, dict) or checkpoint.get("format") != FORMAT:
        raise RunFolderError(
            f"{path} is not a checkpoint of this version of tune-ode (format {FORMAT}); "
            "use the version that wrote it, or train again"
        )
    return checkpoint


def _load(file: IO[bytes]) -> Any:
    """Return the content of a checkpoint, or None if it is damaged."""
    if not is_intact_archive(file):  # torch does not compare checksums
        return None
    file.seek(0)
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
        # a copy of such a tensor would take more memory than the file
        return None if any(map(_is_expanded, _tensors(checkpoint))) else checkpoint
    except Exception as error:  # torch raises many types for other files
        if find_memory_error(error) is not None:
            raise
        return None


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in nested dictionaries and lists."""
    stack, seen = [value], set()
    while stack:
        one = stack.pop()
        if isinstance(one, torch.Tensor):
            yield one
        elif isinstance(one, dict | list | tuple) and id(one) not in seen:
            seen.add(id(one))
            stack += one.values() if isinstance(one, dict) else one


def _is_expanded(tensor: torch.Tensor) -> bool:
    return tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()


def require_same_trial(path: Path, checkpoint: dict[str, Any], config: TrialConfig) -> None:
    """Raise unless a checkpoint can be resumed with a configuration.

    Raises:
        ConfigurationError: the configuration of the checkpoint differs; names each field.
        RunFolderError: a `best` checkpoint, which cannot be resumed.
    """
    if "training" not in checkpoint:
        raise RunFolderError(
            f"{path} contains a model for prediction, not a training; resume from `last.pt`"
        )
    # the images may have moved; parsed, so that fields an older version lacked have their defaults
    here = TrialConfig.from_dict(relocated(checkpoint["config"], config.data.dataset))
    saved, requested = dotted_paths(here.to_dict()), dotted_paths(config.to_dict())
    horizons = saved["training.horizon"], requested["training.horizon"]
    if None in horizons:  # one chose it when it started; the other, without a budget, by its epochs
        saved["training.horizon"] = requested["training.horizon"]
    if saved != requested:
        absent = "not set"
        differences = "; ".join(
            f"{name} is {saved.get(name, absent)} there, {requested.get(name, absent)} here"
            for name in sorted(saved.keys() | requested.keys())
            if saved.get(name, absent) != requested.get(name, absent)
        )
        raise ConfigurationError(
            f"{path} was written with another configuration: {differences}; "
            "resume with that configuration, or train again"
        )


def incompatible(path: Path, error: Exception) -> RunFolderError:
    """Return the error for a checkpoint whose content does not match its configuration."""
    return RunFolderError(
        f"{path} does not match its configuration ({type(error).__name__}): it was written by "
        "another version of tune-ode or for other data; train again"
    )


def load_model(checkpoint: Path, device: torch.device) -> SavedModel:
    """Load the classifier of a `best` or `last` checkpoint, in evaluation mode.

    Raises:
        RunFolderError: the checkpoint is missing, damaged or of another version.
        ConfigurationError: its configuration is not valid in this version.
    """
    saved = read_checkpoint(checkpoint)
    try:
        config = TrialConfig.from_dict(saved["config"])
        channels, height, width = saved["shape"]
        class_names = tuple(map(without_controls, saved["class_names"]))
        levels = saved["statistics"].get("levels")
        statistics = PixelStatistics(
            mean=tuple(saved["statistics"]["mean"]),
            std=tuple(saved["statistics"]["std"]),
            levels=levels and Levels(*levels),
        )
        with torch.random.fork_rng([]):  # initialization draws random numbers
            model = build_classifier(
                config.model,
                config.solver,
                input_shape=(channels, height, width),
                classes=len(class_names),
                execution=config.execution.model_copy(update={"compile": False}),
            )
        model.load_state_dict(saved["model"])
    except LOAD_ERRORS as error:
        raise incompatible(checkpoint, error) from error
    return SavedModel(
        model=model.place(device).eval(),
        config=config,
        class_names=class_names,
        shape=(channels, height, width),
        statistics=statistics,
    )
