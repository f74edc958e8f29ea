"""The points of learning curves: accuracy over seconds on a chosen clock."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from analysis.clock import check_clocks
from analysis.load import Run
from tune_ode.errors import UsageError

CLOCKS = {"isolated": "isolated_seconds", "train": "train_seconds", "wall": "wall_seconds"}
"""Name of a clock → its column of the reports. `isolated` falls back to `train` for trials without
isolated seconds: contention was not measured for them, usually because they ran alone."""
CLOCK_NAMES = {
    "isolated": "isolated training time",
    "train": "training time",
    "wall": "wall-clock time",
}
SECONDS = ("train_seconds", "wall_seconds", "isolated_seconds", "isolated_error")


def curve_points(run: Run, clock: str) -> pd.DataFrame:
    """Return the points of every trial's curve, by trial and time.

    Args:
        run: as loaded.
        clock: a name in `CLOCKS`.

    Returns:
        Columns `trial` (row of `run.trials`), `trial_id`, `seconds` (on that clock, above 0),
        `accuracy` (on the validation split), `train_seconds`, `wall_seconds`,
        `isolated_seconds`, `isolated_error`, `epoch`, `val_images` (images that the accuracy was
        measured on, NaN for all), `sampled` (whether those are not all; a sample may be lucky).
        Reports without an accuracy are left out.
    """
    reports = run.reports
    seconds, accuracy = reports[CLOCKS[clock]], reports["val_accuracy"]
    isolated = has_isolated_seconds(reports)
    if clock == "isolated":
        seconds = seconds.where(isolated, reports["train_seconds"])
    points = reports[["trial", "trial_id", *SECONDS, "epoch", "val_images"]].assign(
        seconds=seconds,
        accuracy=accuracy,
        sampled=reports["val_images"] < (run.manifest.validation_images or 0),
    )
    points.loc[~isolated, ["isolated_seconds", "isolated_error"]] = math.nan
    points = points[(accuracy.notna() & (seconds > 0)).to_numpy()]
    return points.sort_values(["trial", "seconds", "epoch"], ignore_index=True)


def has_isolated_seconds(reports: pd.DataFrame) -> pd.Series[bool]:
    """Return which reports belong to trials with isolated seconds throughout.

    A curve must not mix two clocks.
    """
    known = reports["isolated_seconds"].notna()
    return known.groupby(reports["trial"]).transform("all").astype(bool)


def run_names(runs: Sequence[Run]) -> list[str]:
    """Return a name for each run: its own, or its directory where two runs share a name.

    Raises:
        UsageError: no run, runs on different data, or a run given twice.
    """
    if not runs:
        raise UsageError("a ranking needs at least one run")
    data = {str(run.manifest.options.get("dataset")) for run in runs}
    if len(data) > 1:
        raise UsageError(
            f"runs must share their data to be ranked together; found {', '.join(sorted(data))}"
        )
    if len({run.folder.resolve() for run in runs}) < len(runs):
        raise UsageError("a run is named twice; name each once")
    names = [run.manifest.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.folder) for run in runs]


def concatenate(
    runs: Sequence[Run], names: Sequence[str], clock: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return trials, with the checks of their clocks, and curve points, as if of one run."""
    trials, points, offset = [], [], 0
    for run, name in zip(runs, names, strict=True):
        checks = check_clocks(run.reports, len(run.trials))
        if len(runs) > 1:  # runs may come from machines with different processors
            processor = run.manifest.hardware.get("processor")
            checks["device"] = checks["device"].replace("cpu", f"cpu ({processor})")
        trials.append(
            run.trials[["trial_id", "outcome", "reason", "params"]]
            .assign(
                run=name,
                chance=run.manifest.chance,
                validation_images=run.manifest.validation_images or 0,
            )
            .join(checks)
        )
        curve = curve_points(run, clock)
        points.append(curve.assign(trial=curve["trial"] + offset))
        offset += len(run.trials)
    return pd.concat(trials, ignore_index=True), pd.concat(points, ignore_index=True)
