"""The one door to images: a data set's name in, memory-mapped arrays out."""

from __future__ import annotations

from pathlib import Path

from tune_ode.config import DataConfig
from tune_ode.data.cache import open_or_build
from tune_ode.data.images import ImageData, Progress
from tune_ode.data.paths import cache_folder, data_folder
from tune_ode.data.sources import find_source
from tune_ode.data.splits import split
from tune_ode.errors import ConfigurationError

__all__ = ["ImageData", "check_channels", "load"]


def load(
    config: DataConfig, data_dir: Path | None = None, *, progress: Progress | None = None
) -> ImageData:
    """Return a data set from this node's cache, built first if this is the first time.

    Building reads the raw files, downloading what is missing, in one process while others wait.
    A question that the data cannot answer (too large a subset, a mean for three channels of grey
    images) is refused here.

    Args:
        config: names the data set; the subset, split and statistics are checked against it.
        data_dir: where raw files lie and downloads go; None: `TUNE_ODE_DATA`, else a folder of the
            user's. Data sets of the kind `folder:PATH` don't use it.
        progress: called with what is being done and the share done, while it takes long.

    Raises:
        DataError: missing, damaged or unfit data; no network to download them; no room for the
            cache.
        ConfigurationError: the configuration doesn't fit the images.
    """
    source = find_source(config.dataset, data_folder(data_dir))
    data = open_or_build(config.dataset, source, cache_folder(), progress or _silent)
    check_channels(config, data.shape[0])
    split(data.train_labels, config)
    return data


def check_channels(config: DataConfig, channels: int) -> None:
    """Refuse given pixel statistics that are not one value a channel.

    Raises:
        ConfigurationError: says how many values there must be.
    """
    if config.mean is not None and len(config.mean) != channels:
        raise ConfigurationError(
            f"data.mean and data.std need one value a channel: the images of '{config.dataset}' "
            f"have {channels}, found {len(config.mean)} values"
        )


def _silent(what: str, share: float) -> None:
    pass
