"""What a search maximizes: one number a trial, from its report lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.curves import anytime_area, first_instant
from tune_ode.records import ReportLine


def anytime_value(lines: Sequence[ReportLine], budget: float | None) -> float | None:
    """Return the anytime area of a trial's curve in [0, 1].

    None where nothing was measured, or where there is no budget to end the area.
    """
    measured = [line for line in lines if line.val_accuracy is not None]
    if not measured or budget is None:
        return None
    seconds = np.array([line.train_seconds for line in measured])
    accuracy = np.array([line.val_accuracy for line in measured])
    return float(anytime_area(seconds, accuracy, first=first_instant(budget), budget=budget))
