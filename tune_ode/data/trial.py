"""Training and validation data of a trial on its device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from tune_ode.config import DataConfig, TrialConfig
from tune_ode.data.batches import EVALUATION_BATCH, EvaluationBatches, TrainBatches
from tune_ode.data.images import ImageData, Images, Labels
from tune_ode.data.load import check_channels
from tune_ode.data.pixels import PixelStatistics, measure
from tune_ode.data.splits import chance_accuracy, split
from tune_ode.data.splits.stratified import interleave


@dataclass(frozen=True, eq=False)
class TrialData:
    """Batches for training and validation, and properties of the images."""

    train: TrainBatches
    validation: EvaluationBatches
    """In an order of which every beginning is stratified."""
    shape: tuple[int, int, int]
    """(C, H, W)."""
    classes: int
    class_names: tuple[str, ...]
    statistics: PixelStatistics
    """Statistics by which all batches are normalized."""
    chance: float
    """Validation accuracy of always predicting the most frequent class."""
    class_weights: Tensor | None = None
    """float32 (classes,), weights in the training loss; None: all 1."""
    test: EvaluationBatches | None = None
    """Only if reports shall include the test set."""


def trial_data(
    data: ImageData, config: TrialConfig, device: torch.device, *, with_test: bool = False
) -> TrialData:
    """Move images to the device, shared by all trials of this process with the same split.

    Args:
        data: loaded data set.
        config: uses `data`, `training.batch_size` and `seed`.
        device: training device.
        with_test: whether to include the test set.

    Raises:
        DataError: the requested split is not possible.
        ConfigurationError: pixel statistics for another number of channels.
    """
    check_channels(config.data, data.shape[0])
    resident = _resident(data, _split_only(config.data), device)
    if config.data.mean is not None and config.data.std is not None:
        statistics = PixelStatistics(config.data.mean, config.data.std, data.levels)
    else:
        statistics = resident.statistics
    train = TrainBatches(
        *resident.train,
        batch_size=config.training.batch_size,
        seed=config.seed,
        statistics=statistics,
        augmentation=config.data.augmentation,
    )
    validation = EvaluationBatches(*resident.validation, statistics=statistics)
    return TrialData(
        train,
        validation,
        data.shape,
        data.classes,
        data.class_names,
        statistics,
        resident.chance,
        class_weights=_balanced(resident.train[1], data.classes)
        if config.data.class_weights == "balanced"
        else None,
        test=evaluation_batches(data.test_images, data.test_labels, statistics, device)
        if with_test
        else None,
    )


def _balanced(labels: Tensor, classes: int) -> Tensor:
    counts = torch.bincount(labels, minlength=classes)
    return len(labels) / (classes * counts.float())


def evaluation_batches(
    images: Images,
    labels: Labels,
    statistics: PixelStatistics,
    device: torch.device,
    batch_size: int = EVALUATION_BATCH,
) -> EvaluationBatches:
    """Move images, such as the test set, to a device for evaluation.

    Args:
        images: uint8 (N, C, H, W).
        labels: int64 (N,).
        statistics: pixel statistics that the model was trained with.
        device: device of the model.
        batch_size: maximum number of images per batch.
    """
    tensors = _move(images, labels, device)
    return EvaluationBatches(*tensors, statistics=statistics, batch_size=batch_size)


@dataclass(frozen=True, eq=False)
class _Resident:
    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    statistics: PixelStatistics
    chance: float


@lru_cache(maxsize=1)  # the trials of a search share one split; more entries would only use memory
def _resident(data: ImageData, config: DataConfig, device: torch.device) -> _Resident:
    parts = split(data, config)
    images, labels = data.train_images[parts.train], data.train_labels[parts.train]
    held_out = parts.validation[interleave(data.train_labels[parts.validation], config.split_seed)]
    validation_labels = data.train_labels[held_out]
    return _Resident(
        train=_move(images, labels, device),
        validation=_move(data.train_images[held_out], validation_labels, device),
        statistics=measure(images, data.levels),
        chance=chance_accuracy(validation_labels),
    )


def _split_only(config: DataConfig) -> DataConfig:
    """Return the fields that determine the split, as the key of `_resident`."""
    return DataConfig(
        dataset=config.dataset,
        train_images=config.train_images,
        validation_fraction=config.validation_fraction,
        split_seed=config.split_seed,
    )


def _move(images: Images, labels: Labels, device: torch.device) -> tuple[Tensor, Tensor]:
    # torch needs writable arrays: this copies memory maps, but not the results of indexing
    writable = [np.require(array, requirements="W") for array in (images, labels)]
    return torch.from_numpy(writable[0]).to(device), torch.from_numpy(writable[1]).to(device)
