"""Data of a trial: data set, subset, split, normalization and augmentation."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeGuard, get_args

from PIL import ImageColor
from pydantic import AfterValidator, Field, field_validator, model_validator

from tune_ode.config.base import ConfigModel
from tune_ode.errors import suggest_name

DatasetName = Literal[
    "digits", "mnist", "fashion-mnist", "cifar10", "cifar100", "svhn", "tiny-imagenet"
]
FOLDER_PREFIX = "folder:"
WHITE = "white"
GROUP_FILES = (".csv", ".tsv", ".json")
"""Endings of `DataConfig.groups` that names a file."""


def is_group_file(groups: str | None) -> TypeGuard[str]:
    """Return whether `DataConfig.groups` names a file, rather than being a regular expression."""
    return groups is not None and groups.lower().endswith(GROUP_FILES)


def _opaque_color(name: str) -> str:
    try:
        opaque = len(ImageColor.getrgb(name)) == 3
    except ValueError:
        opaque = False
    if not opaque:
        raise ValueError(f"'{name}' is not an opaque color; use a name or #rrggbb")
    return name


PerChannel = Annotated[tuple[float, ...], Field(min_length=1, max_length=3)]


class AugmentationConfig(ConfigModel):
    """Random transformations of each training image; all off by default."""

    crop: Annotated[int, Field(ge=0, le=16)] = 0
    """Zero padding in pixels on each side before a random crop back to the image's size."""
    flip: bool = False
    """Flip horizontally with probability 0.5."""
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Rotation angle drawn from [-r, r] degrees."""
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Brightness factor drawn from [1 - b, 1 + b]."""
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Contrast factor drawn from [1 - c, 1 + c]."""
    saturation: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Saturation factor drawn from [1 - s, 1 + s]; colour images only."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Hue shift drawn from [-h, h] of the colour circle; colour images only."""


class DataConfig(ConfigModel):
    """The data of a trial, without the location of its files, which differs by machine."""

    dataset: str = "digits"
    """A `DatasetName`, or `folder:PATH` of a directory with a subdirectory of images per class."""
    train_images: Annotated[int, Field(ge=10)] | None = None
    """Size of a stratified subset of the training images, validation split included; None: all."""
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the training images held out for validation, stratified by class; None: the images
    of `valid/`, or if there are none, 1,000 images, but no less than 0.2 and no more than 0.4.
    With a share, the images of `valid/` are split too."""
    groups: str | None = None
    """Which images belong together and stay in one part of every split: a regular expression with
    one group, searched in file names, or in paths if it contains a slash; or a .csv, .tsv or .json
    file that maps file names to groups."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of subset and split, the same for all trials of a run."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weights of the classes in the training loss; balanced: inversely proportional to their
    numbers of training images, 1 on average over the images."""
    mean: PerChannel | None = None
    """Per-channel mean of pixels in [0, 1], subtracted; None: measured on the training split."""
    std: PerChannel | None = None
    """Per-channel standard deviation to divide by; set together with `mean`."""
    background: Annotated[str, AfterValidator(_opaque_color)] = WHITE
    """Color behind transparent pixels of image files: a name, or #rrggbb."""
    skip_broken: bool = False
    """Leave out images of `folder:PATH` that cannot be used, instead of an error."""
    augmentation: AugmentationConfig = AugmentationConfig()

    @field_validator("dataset")
    @classmethod
    def _known(cls, name: str) -> str:
        if name in get_args(DatasetName):
            return name
        if name.startswith(FOLDER_PREFIX) and len(name) > len(FOLDER_PREFIX):
            return name
        if os.path.isdir(name):  # False for a name that is too long
            raise ValueError(f"'{name}' is a folder; write {FOLDER_PREFIX}{name}")
        valid = [*get_args(DatasetName), f"{FOLDER_PREFIX}PATH"]
        raise ValueError(suggest_name("dataset", name, valid))

    @field_validator("groups")
    @classmethod
    def _one_group(cls, groups: str | None) -> str | None:
        if groups is None or is_group_file(groups):
            return groups
        try:
            found = f"{re.compile(groups).groups} groups"
        except re.error as error:
            found = str(error)
        if found != "1 groups":
            raise ValueError(
                f"'{groups}' must be a regular expression with one group, such as '(.+)_', or a "
                f"{', '.join(GROUP_FILES)} file; found {found}"
            )
        return groups

    @model_validator(mode="after")
    def _statistics_together(self) -> Self:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std must be set together; set both, or neither")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError(f"std must be positive, found {self.std}")
        if self.mean and self.std and len(self.mean) != len(self.std):
            raise ValueError("mean and std need one value per channel")
        return self


def moved_dataset(before: str, now: str) -> str:
    """Return where a data set is now: only image folders have a path that can change.

    Args:
        before: `DataConfig.dataset` when it was stored.
        now: `DataConfig.dataset` that may be the same images elsewhere.
    """
    folders = before.startswith(FOLDER_PREFIX) and now.startswith(FOLDER_PREFIX)
    return now if folders else before


def relocated(config: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    """Return a trial's configuration, as plain values, with the current path of its images.

    Args:
        config: `TrialConfig.to_dict()`, written when the images may have been elsewhere.
        dataset: `DataConfig.dataset` of the run.
    """
    data = config.get("data")
    if not isinstance(data, Mapping) or not isinstance(before := data.get("dataset"), str):
        return dict(config)  # of another version, or not valid: `TrialConfig` says so
    return {**config, "data": {**data, "dataset": moved_dataset(before, dataset)}}
