"""Every recipe trains at full width for an epoch on a few images of its data set."""

import math
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from search_spaces.recipes import recipe, recipes
from tune_ode.config import DataConfig
from tune_ode.data import ImageData, load, read_image, trial_data
from tune_ode.training import training_loop

CPU = torch.device("cpu")
IMAGES, CLASSES = 20, 10
SHAPES = {
    "digits": (1, 8, 8),
    "mnist": (1, 28, 28),
    "cifar10": (3, 32, 32),
    "svhn": (3, 32, 32),
    "tiny-imagenet": (3, 64, 64),
}
RECIPES = [
    # hundreds of evaluations of an untrained network take seconds
    pytest.param(name, marks=pytest.mark.long) if recipe(name).solver.method == "dopri5" else name
    for name in recipes()
]


@pytest.fixture(scope="module")
def few_images(tmp_path_factory) -> Callable[[str], ImageData]:
    """Return two images per class: real digits, MNIST and CIFAR-10 if available, else noise."""
    folder = Path(os.environ.get("TUNE_ODE_DATA") or "/none")

    @cache
    def images(dataset: str) -> ImageData:
        labels = np.arange(IMAGES) % CLASSES
        if dataset == "digits" or (dataset == "mnist" and (folder / "MNIST" / "raw").is_dir()):
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("TUNE_ODE_CACHE", str(tmp_path_factory.mktemp("cache")))
                data = load(DataConfig(dataset=dataset), folder)
            order = np.argsort(data.train_labels, kind="stable")
            starts = np.searchsorted(data.train_labels[order], np.arange(CLASSES))
            pixels = data.train_images[order[starts[labels] + np.arange(IMAGES) // CLASSES]]
        elif dataset == "cifar10" and (folder / "cifar10" / "train").is_dir():
            classes = sorted((folder / "cifar10" / "train").iterdir())
            files = [sorted(one.iterdir())[: IMAGES // CLASSES] for one in classes]
            pixels = np.stack(
                [read_image(files[k % CLASSES][k // CLASSES], (3, 32, 32)) for k in range(IMAGES)]
            )
        else:
            generator = np.random.default_rng(0)
            pixels = generator.integers(0, 256, (IMAGES, *SHAPES[dataset]), dtype=np.uint8)
        names = tuple(map(str, range(CLASSES)))
        return ImageData(dataset, names, pixels, labels, pixels[:CLASSES], labels[:CLASSES])

    return images


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_an_epoch(name, few_images):
    config = recipe(name).with_values({"training.epochs": 1})
    data = few_images(config.data.dataset)
    assert data.shape == SHAPES[config.data.dataset]
    (report,) = training_loop(config, trial_data(data, config, CPU), device=CPU)
    assert report.epoch == 1
    assert math.isfinite(report.train_loss)
    assert math.isfinite(report.val_loss)
    assert (report.nfe_backward > 0) == config.solver.uses_adjoint
