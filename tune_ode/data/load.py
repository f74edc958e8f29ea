"""`load`: return a data set by name, as memory-mapped arrays."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from tune_ode.config import DataConfig
from tune_ode.data.cache import open_or_build
from tune_ode.data.images import ImageData, Progress
from tune_ode.data.paths import cache_folder, data_folder
from tune_ode.data.sources import find_source
from tune_ode.data.splits import group_ids, split
from tune_ode.errors import ConfigurationError

__all__ = ["ImageData", "check_channels", "load"]


def load(
    config: DataConfig, data_dir: Path | None = None, *, progress: Progress | None = None
) -> ImageData:
    """Return a data set from the cache of this node, which is built on first use.

    Building reads the raw files and downloads missing ones, in one process while others wait.

    Args:
        config: name of the data set; its subset, split and statistics are validated.
        data_dir: directory of the raw files and downloads; None: `TUNE_ODE_DATA`, else a directory
            of the user. Not used by data sets of the form `folder:PATH`.
        progress: called with the current operation and its finished fraction.

    Raises:
        DataError: missing, damaged or invalid data, no network for a download, no space for the
            cache, or a subset that the data cannot provide.
        ConfigurationError: pixel statistics for another number of channels.
    """
    source = find_source(
        config.dataset,
        data_folder(data_dir),
        background=config.background,
        skip_broken=config.skip_broken,
        groups=config.groups,
    )
    data = open_or_build(
        config.dataset, source, cache_folder(), progress or (lambda operation, fraction: None)
    )
    if config.groups is not None:
        data = _with_groups(data, config.groups)
    check_channels(config, data.shape[0])
    split(data, config)
    return data


@lru_cache(maxsize=1)  # so that equal images are the same object
def _with_groups(data: ImageData, groups: str) -> ImageData:
    return replace(data, train_groups=group_ids(data.train_files, groups, data.name))


def check_channels(config: DataConfig, channels: int) -> None:
    """Check that configured pixel statistics have one value per channel.

    Raises:
        ConfigurationError: they have not.
    """
    if config.mean is not None and len(config.mean) != channels:
        raise ConfigurationError(
            f"data.mean and data.std need one value per channel: the images of '{config.dataset}' "
            f"have {channels}, found {len(config.mean)} values"
        )
