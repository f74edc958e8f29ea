"""Predictions of a trial's model."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tune_ode.api.arguments import PathLike
from tune_ode.api.resolve import resolve_trial
from tune_ode.api.run import Run
from tune_ode.api.session import session
from tune_ode.api.trial import Trial
from tune_ode.errors import UsageError
from tune_ode.paths import RunPath, address
from tune_ode.prediction import Prediction
from tune_ode.prediction import predict as predict_files

Pixels = npt.NDArray[np.uint8]
"""uint8 (H, W), grey, or (H, W, 3), RGB."""
ImageLike = PathLike | Image.Image | Pixels


def predict(
    model: Run | Trial | RunPath | str, images: ImageLike | Iterable[ImageLike]
) -> list[Prediction]:
    """Classify images with the model of a trial, as `tune-ode predict`, on the CPU.

    Images of any size are scaled as those that the model was trained on.

    Args:
        model: a trial; or a run, for the best of its ranking; or RUN:TRIAL.
        images: one or more image files, PIL images, or uint8 arrays (H, W) or (H, W, 3).

    Returns:
        For each image, the most probable class and its probability, not calibrated.

    Raises:
        UsageError: the trial has no saved model, or images cannot be used.
    """
    trial = model.best if isinstance(model, Run) else model
    if not isinstance(trial, Trial):
        path, trial_id = resolve_trial(trial if isinstance(trial, str) else address(trial))
    else:
        path, trial_id = trial.run, trial.id
    single = isinstance(images, str | os.PathLike | Image.Image) or (
        isinstance(images, np.ndarray) and _is_image(images)
    )
    given: list[Any] = [images] if single else list(images)  # type: ignore[arg-type]
    with session(), tempfile.TemporaryDirectory(prefix="tune-ode-") as directory:
        files = [_file(image, Path(directory) / f"{at}.png") for at, image in enumerate(given)]
        found = predict_files(path, trial_id, files)
    return [
        one if isinstance(image, str | os.PathLike) else replace(one, image=f"image {at}")
        for at, (one, image) in enumerate(zip(found, given, strict=True))
    ]


def _is_image(pixels: npt.NDArray[Any]) -> bool:
    return pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))


def _file(image: object, temporary: Path) -> Path:
    """Return an image as a file, which all images are decoded from."""
    if isinstance(image, str | os.PathLike):
        return Path(image)
    if not isinstance(image, Image.Image):
        pixels = np.asarray(image)
        if pixels.dtype != np.uint8 or not _is_image(pixels):
            raise UsageError(
                "images must be files, PIL images or uint8 arrays (H, W) or (H, W, 3), found "
                f"{pixels.dtype} {pixels.shape}"
            )
        image = Image.fromarray(pixels)
    image.save(temporary)
    return temporary
