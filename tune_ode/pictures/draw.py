"""Writes pictures of a model: its architecture and, if trained, the paths of states."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from analysis.plots import style
from analysis.plots.isolation import isolated
from tune_ode.config import TrialConfig
from tune_ode.config.data import relocated
from tune_ode.data import ImageData, evaluation_batches, load, split
from tune_ode.errors import RunFolderError
from tune_ode.paths import RunPath, write_atomic
from tune_ode.pictures.architecture import architecture_data, figure_size, plot_architecture
from tune_ode.pictures.path import MAX_CLASSES, path_data, plot_path
from tune_ode.prediction import best_model
from tune_ode.runs.relocation import current_dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARCHITECTURE = "architecture.png"
PATH = "path.png"
_IMAGES_PER_CLASS = 4


def draw_configuration(config: TrialConfig, data_dir: Path | None, output: Path) -> list[Path]:
    """Draw the network of a configuration and return the files.

    Args:
        config: configuration with its data set.
        data_dir: directory of data sets, for downloads too.
        output: directory for the pictures, created if missing.

    Raises:
        DataError: the data set is unavailable.
        ConfigurationError: the network cannot process its images.
        RunFolderError: the output directory cannot be written.
    """
    data = load(config.data, data_dir)
    return _write({ARCHITECTURE: _architecture(config, data)}, output)


def draw_trial(
    run: RunPath,
    trial_id: str,
    data_dir: Path | None,
    output: Path,
    *,
    dataset: str | None = None,
) -> list[Path]:
    """Draw a trial's network and the paths of validation images through its best model.

    Args:
        run: run directory or its URL.
        trial_id: trial with a saved model.
        data_dir: directory of data sets, for downloads too.
        output: directory for the pictures, created if missing.
        dataset: where the run's image folder is now; None: where it was.

    Returns:
        The files; only the architecture for the residual baseline, which has no path.

    Raises:
        UsageError: the trial has no saved model.
        SolveFailed: the reference solver fails on the model's ODE.
        RunFolderError: the output directory cannot be written.
    """
    device = torch.device("cpu")
    saved = best_model(run, trial_id, device)
    here = current_dataset(saved.config.data.dataset, dataset)
    config = TrialConfig.from_dict(relocated(saved.config.to_dict(), here))
    data = load(config.data, data_dir)
    drawn = {ARCHITECTURE: _architecture(config, data)}
    if config.model.architecture == "ode":
        indices = _example_indices(data, config)
        images, labels = data.train_images[indices], data.train_labels[indices]
        ((batch, targets),) = evaluation_batches(images, labels, saved.statistics, device)
        path = path_data(saved.model, batch, targets, saved.class_names)
        drawn[PATH] = _png((11, 5.5), lambda figure: plot_path(path, figure))
    return _write(drawn, output)


def _architecture(config: TrialConfig, data: ImageData) -> bytes:
    architecture = architecture_data(config, data.shape, data.classes)
    return _png(figure_size(architecture), lambda figure: plot_architecture(architecture, figure))


def _png(size: tuple[float, float], plot: Callable[[Figure], None]) -> bytes:
    """Return a picture of a width and height in inches."""
    content = io.BytesIO()
    with isolated():
        figure = style.blank(*size)
        plot(figure)
        figure.savefig(content, format="png")
    return content.getvalue()


def _example_indices(data: ImageData, config: TrialConfig) -> npt.NDArray[np.int64]:
    """Return indices of a few validation images of each of the first classes."""
    validation = split(data, config.data).validation
    labels = data.train_labels[validation]
    classes = range(min(data.classes, MAX_CLASSES))
    return np.concatenate([validation[labels == label][:_IMAGES_PER_CLASS] for label in classes])


def _write(pictures: dict[str, bytes], output: Path) -> list[Path]:
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, content in pictures.items():
            write_atomic(output / name, content)
    except OSError as error:
        raise RunFolderError(
            f"cannot write to {output}: {error.strerror}; choose another --output"
        ) from None
    return [output / name for name in pictures]
