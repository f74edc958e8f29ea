"""What a trial trains on: data set, subset, split, normalization and augmentation."""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from tune_ode.config.base import ConfigModel
from tune_ode.errors import suggest_name

DatasetName = Literal[
    "digits", "mnist", "fashion-mnist", "cifar10", "cifar100", "svhn", "tiny-imagenet"
]
FOLDER_PREFIX = "folder:"

PerChannel = Annotated[tuple[float, ...], Field(min_length=1, max_length=3)]


class AugmentationConfig(ConfigModel):
    """Random changes of the training images, drawn anew for each image; all off by default."""

    crop: Annotated[int, Field(ge=0, le=16)] = 0
    """Zero padding in pixels on each side before a random crop back to the image's size."""
    flip: bool = False
    """Mirror left to right with probability one half."""
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest rotation in degrees, to either side."""
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Brightness factor drawn from [1 - b, 1 + b]."""
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Contrast factor drawn from [1 - c, 1 + c]."""
    saturation: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Saturation factor drawn from [1 - s, 1 + s]; colour images only, grey ones have none."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Hue shift drawn from [-h, h] of the colour circle; colour images only."""


class DataConfig(ConfigModel):
    """The data a trial sees. Where the files lie is no part of it: that differs by machine."""

    dataset: str = "digits"
    """A name from `DatasetName`, or `folder:PATH` of an image tree."""
    train_images: Annotated[int, Field(ge=10)] | None = None
    """Stratified subset of the training images to use, validation split included; None: all."""
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the training images held out to rank trials by, stratified by class."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of subset and split: one a run, so that its trials see the same images."""
    mean: PerChannel | None = None
    """Per-channel mean of pixels in [0, 1] to subtract; None: measured on the training split."""
    std: PerChannel | None = None
    """Per-channel standard deviation to divide by; given together with `mean` or not at all."""
    augmentation: AugmentationConfig = AugmentationConfig()

    @field_validator("dataset")
    @classmethod
    def _known(cls, name: str) -> str:
        if name in get_args(DatasetName):
            return name
        if name.startswith(FOLDER_PREFIX) and len(name) > len(FOLDER_PREFIX):
            return name
        valid = [*get_args(DatasetName), f"{FOLDER_PREFIX}PATH"]
        raise ValueError(suggest_name("dataset", name, valid))

    @model_validator(mode="after")
    def _statistics_together(self) -> Self:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std are given together or not at all; give both")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError(f"std must be positive, found {self.std}")
        if self.mean and self.std and len(self.mean) != len(self.std):
            raise ValueError("mean and std need one value a channel each")
        return self
