"""The handwritten digits that ship with scikit-learn: 1,797 grey images of 8×8, no download."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tune_ode.data.images import Build, ImageData
from tune_ode.data.splits import hold_out_test

BRIGHTEST = 16
"""Of the counts of dark pixels in 4×4 blocks that the values are (Alpaydin & Kaynak 1998)."""


@dataclass(frozen=True)
class Digits:
    """The source `digits`.

    They have no test set of their own: a stratified fifth (359 images), drawn once with a fixed
    seed, is it. The other 1,438 are the training images.
    """

    dataset: str

    def identity(self) -> str:
        """Nothing but the name: they are part of scikit-learn."""
        return self.dataset

    def read(self, build: Build) -> ImageData:
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
