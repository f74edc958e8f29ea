"""Handwritten digits of scikit-learn: 1,797 grey 8×8 images, without a download."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tune_ode.data.images import BuildContext, ImageData
from tune_ode.data.splits import hold_out_test

BRIGHTEST = 16
"""Maximum value: a count of dark pixels in a 4×4 block (Alpaydin & Kaynak 1998)."""


@dataclass(frozen=True)
class Digits:
    """The source `digits`.

    The test set is a stratified fifth (359 images), drawn with a fixed seed; the other 1,438 are
    the training images.
    """

    dataset: str

    def identity(self) -> str:
        """Return the name: the images are part of scikit-learn."""
        return self.dataset

    def read(self, build: BuildContext) -> ImageData:
        """Scale the values 0 … 16 to 0 … 255; see `Source.read`."""
        from sklearn.datasets import load_digits

        build.progress("reading digits", 0.0)
        bunch = load_digits()
        images = np.rint(bunch.images[:, None] * (255 / BRIGHTEST)).astype(np.uint8)
        labels = bunch.target.astype(np.int64)
        parts = hold_out_test(labels)
        return ImageData(
            self.dataset,
            tuple(str(name) for name in bunch.target_names),
            images[parts.train],
            labels[parts.train],
            images[parts.validation],
            labels[parts.validation],
        )
