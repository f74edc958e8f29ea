"""A model's pictures as files: the architecture and, of a trained one, the paths of states."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure

from analysis.plots import style
from tune_ode.config import TrialConfig
from tune_ode.data import ImageData, evaluation_batches, load, split
from tune_ode.errors import RunFolderError
from tune_ode.paths import RunPath, write_atomic
from tune_ode.pictures.architecture import architecture_data, figure_size, plot_architecture
from tune_ode.pictures.path import CLASSES, path_data, plot_path
from tune_ode.prediction import best_model

ARCHITECTURE = "architecture.png"
PATH = "path.png"
_IMAGES_A_CLASS = 4


def draw_configuration(config: TrialConfig, data_dir: Path | None, output: Path) -> list[Path]:
    """Draw the network of a configuration for its data; return the files.

    Args:
        config: the trial's.
        data_dir: where its data lie or go to.
        output: folder to draw into, made where there is none.

    Raises:
        DataError: the data cannot be had.
        ConfigurationError: the network does not take such images.
        RunFolderError: the folder cannot be written.
    """
    data = load(config.data, data_dir)
    return _write({ARCHITECTURE: _architecture(config, data)}, output)


def draw_trial(run: RunPath, trial_id: str, data_dir: Path | None, output: Path) -> list[Path]:
    """Draw a trial's network and, of its best model, the paths of validation images.

    Args:
        run: the run folder, or its URL.
        trial_id: of a trial that saved a model.
        data_dir: where its data lie or go to.
        output: folder to draw into, made where there is none.

    Returns:
        The files; the architecture alone of the residual baseline, which has no path.

    Raises:
        QuestionError: the trial saved no model.
        SolveFailed: its ODE cannot be solved tightly.
        RunFolderError: the folder cannot be written.
    """
    device = torch.device("cpu")
    saved = best_model(run, trial_id, device)
    data = load(saved.config.data, data_dir)
    figures = {ARCHITECTURE: _architecture(saved.config, data)}
    if saved.config.model.architecture == "ode":
        chosen = _a_few_of_each(data, saved.config)
        images, labels = data.train_images[chosen], data.train_labels[chosen]
        ((batch, truth),) = evaluation_batches(images, labels, saved.statistics, device)
        figures[PATH] = style.blank(11, 5.5, constrained=True)
        plot_path(path_data(saved.model, batch, truth, saved.class_names), figures[PATH])
    return _write(figures, output)


def _architecture(config: TrialConfig, data: ImageData) -> Figure:
    drawn = architecture_data(config, data.shape, data.classes)
    figure = style.blank(*figure_size(drawn))
    plot_architecture(drawn, figure)
    return figure


def _a_few_of_each(data: ImageData, config: TrialConfig) -> npt.NDArray[np.int64]:
    """Return where validation images of the first classes lie, the test set being left alone."""
    held = split(data.train_labels, config.data).validation
    labels = data.train_labels[held]
    return np.concatenate(
        [held[labels == one][:_IMAGES_A_CLASS] for one in range(min(data.classes, CLASSES))]
    )


def _write(figures: dict[str, Figure], output: Path) -> list[Path]:
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            drawn = io.BytesIO()
            figure.savefig(drawn, format="png")
            write_atomic(output / name, drawn.getvalue())
    except OSError as error:
        raise RunFolderError(
            f"cannot write to {output}: {error.strerror}; choose another --output"
        ) from None
    return [output / name for name in figures]
