"""Sources of images: data sets by name, and image folders of the user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tune_ode.config import DataConfig
from tune_ode.config.data import FOLDER_PREFIX, WHITE, is_group_file
from tune_ode.data.images import Source
from tune_ode.data.paths import absolute
from tune_ode.data.sources.digits import Digits
from tune_ode.data.sources.folder import Folder
from tune_ode.data.sources.published import CIFAR, DIGITS, IDX, SVHN, Published
from tune_ode.data.sources.tiny_imagenet import TinyImageNet
from tune_ode.errors import DataError

SOURCES: dict[str, Callable[[Path], Source]] = {
    "digits": lambda _: Digits("digits"),
    "mnist": lambda root: Published("mnist", "MNIST", IDX, root, DIGITS),
    "fashion-mnist": lambda root: Published("fashion-mnist", "FashionMNIST", IDX, root),
    "cifar10": lambda root: Published("cifar10", "CIFAR10", CIFAR, root),
    "cifar100": lambda root: Published("cifar100", "CIFAR100", CIFAR, root),
    "svhn": lambda root: Published("svhn", "SVHN", SVHN, root, DIGITS),
    "tiny-imagenet": lambda root: TinyImageNet("tiny-imagenet", root),
}
"""Sources by `DatasetName`; they take the data directory."""


def find_source(
    dataset: str,
    data_dir: Path,
    *,
    background: str = WHITE,
    skip_broken: bool = False,
    groups: str | None = None,
) -> Source:
    """Return the source of a valid `DataConfig.dataset`; see its fields for the options."""
    if dataset.startswith(FOLDER_PREFIX):
        path = absolute(Path(dataset.removeprefix(FOLDER_PREFIX)))
        return Folder(dataset, path, background, skip_broken, groups)
    return SOURCES[dataset](data_dir)


def absolute_paths(config: DataConfig) -> DataConfig:
    """Make the paths of a folder data set and of a file of groups absolute.

    Raises:
        DataError: as `absolute_dataset`.
    """
    groups = config.groups
    if is_group_file(groups):
        groups = str(absolute(Path(groups)))
    changes = {"dataset": absolute_dataset(config.dataset), "groups": groups}
    return config.model_copy(update=changes)


def absolute_dataset(dataset: str) -> str:
    """Make the path of a folder data set absolute, for processes in other directories.

    Raises:
        DataError: a missing path, or one that cannot be resolved.
    """
    if dataset.startswith(FOLDER_PREFIX):
        path = dataset.removeprefix(FOLDER_PREFIX)
        if not path:  # an unset shell variable must not mean the current directory
            raise DataError(
                "folder: needs a path; use folder:PATH, or folder:. for the current directory"
            )
        return f"{FOLDER_PREFIX}{absolute(Path(path))}"
    return dataset
