"""A comparison's run → its cases: what an epoch of each costs, and what it reaches.

A case is a way to solve and differentiate one network: METHOD:GRADIENT, or `resnet`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from analysis.clock import check_clocks
from analysis.load import RUNNING, Run
from analysis.statistics import Array, Sample
from tune_ode.records import COMPARE, Outcome

EXPECTED = ("euler:adjoint", "rk4:adjoint", "dopri5:backprop", "dopri5:adjoint")
"""From the fewest seconds an epoch to the most, as published."""


@dataclass(frozen=True)
class Published:
    """A case as it was published: MNIST, one GPU."""

    seconds: float
    """Wall-clock seconds an epoch."""
    nfe_forward: float
    nfe_backward: float


PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        "dopri5:backprop": Published(33.06, 26.2, 0.0),
        "euler:adjoint": Published(6.62, 1.0, 1.0),
        "rk4:adjoint": Published(8.92, 4.0, 4.0),
        "dopri5:adjoint": Published(45.2, 26.2, 20.0),
    }
)


@dataclass(frozen=True)
class Curve:
    """Accuracy over epochs, of all trainings that reported an epoch."""

    epochs: Array
    mean: Array
    low: Array
    """Of the worst training."""
    high: Array


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case, over its seeds; figures are of the trainings that were completed."""

    name: str
    outcomes: tuple[str, ...]
    """Of its trainings that have ended."""
    reasons: tuple[str, ...]
    """Why those broke down that did."""
    seconds: Sample
    """Of training, an epoch."""
    seconds_by_seed: Mapping[int, float]
    whole: Sample
    """Wall-clock seconds an epoch with evaluation and checkpoints, all but the warm-up."""
    nfe_forward: float
    """Per batch, mean over epochs and seeds; so are the next two. NaN without a training."""
    nfe_backward: float
    vjp_backward: float
    peak_memory: float
    """Bytes on the device, the most of all seeds; NaN where not measured."""
    train: Sample
    """Accuracy in the last epoch, on augmented images."""
    val: Sample
    test: Sample
    """Accuracy after the last epoch."""
    train_curve: Curve
    test_curve: Curve
    disturbed: int
    """Trainings whose clock looks disturbed."""

    def figures(self, published: Published | None) -> dict[str, Any]:
        """Return all of it as plain values; what was not measured is None."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in {
                "case": self.name,
                "trainings": len(self.outcomes),
                "completed": self.outcomes.count(Outcome.COMPLETED),
                **_with_interval("seconds_per_epoch", self.seconds),
                **_with_interval("whole_seconds_per_epoch", self.whole),
                "nfe_forward": self.nfe_forward,
                "nfe_backward": self.nfe_backward,
                "vjp_backward": self.vjp_backward,
                "peak_memory_bytes": self.peak_memory,
                "train_accuracy": self.train.mean,
                "val_accuracy": self.val.mean,
                **_with_interval("test_accuracy", self.test),
                "published_seconds_per_epoch": published and published.seconds,
                "published_nfe_forward": published and published.nfe_forward,
                "published_nfe_backward": published and published.nfe_backward,
            }.items()
        }


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A comparison, as far as it is."""

    cases: tuple[Case, ...]
    """In the order in which they were asked for."""
    dataset: str
    epochs: int
    seeds: int
    train_images: int | None
    test_images: int | None
    device: str
    unfinished: int
    """Trainings that are to be done."""

    @property
    def measured(self) -> tuple[Case, ...]:
        """The cases of which a training was completed."""
        return tuple(case for case in self.cases if case.seconds.count)

    def published(self, case: Case) -> Published | None:
        """Return what was published for a case; None on other data."""
        return PUBLISHED.get(case.name) if self.dataset == "mnist" else None

    def to_records(self) -> list[dict[str, Any]]:
        """Return a row a case."""
        return [case.figures(self.published(case)) for case in self.cases]


def load_compared(run: Run) -> Compared | None:
    """Read a comparison; None where the run is none, or none of its trainings has reported.

    Args:
        run: as loaded.
    """
    asked = run.manifest.options
    if asked.get("command") != COMPARE or run.lines.empty:
        return None
    trials = run.trials.assign(clock=check_clocks(run.lines, len(run.trials))["clock"])
    lines = {str(name): table for name, table in run.lines.groupby("trial_id")}
    cases = tuple(
        _case(str(name), table, lines) for name, table in trials.groupby("confirms", sort=False)
    )
    return Compared(
        cases=cases,
        dataset=str(asked["dataset"]),
        epochs=int(asked["epochs"]),
        seeds=max(len({config["seed"] for config in trials["config"]}), 1),
        train_images=run.manifest.train_images,
        test_images=run.manifest.test_images,
        device=" + ".join(sorted(set(run.lines["device"]))),
        unfinished=max(
            len(asked["cases"]) * asked["seeds"] - sum(len(case.outcomes) for case in cases), 0
        ),
    )


def _case(name: str, trials: pd.DataFrame, lines: Mapping[str, pd.DataFrame]) -> Case:
    ended = trials[~trials["outcome"].isin([RUNNING, Outcome.INTERRUPTED.value])]
    whole = ended[ended["outcome"] == Outcome.COMPLETED.value]
    trainings = {
        int(row["config"]["seed"]): lines[row["trial_id"]]
        for row in whole.to_dict("records")
        if row["trial_id"] in lines
    }
    last = pd.DataFrame([table.iloc[-1] for table in trainings.values()])
    reported = [lines[trial] for trial in trials["trial_id"] if trial in lines]
    every = pd.concat(list(trainings.values())) if trainings else pd.DataFrame()

    def mean(column: str) -> float:
        return float(every[column].mean()) if trainings else math.nan

    def sample(column: str) -> Sample:
        return (
            Sample.of(last[column].dropna().to_numpy(dtype=float)) if trainings else Sample.of([])
        )

    by_seed = {
        seed: float(table["train_seconds"].iloc[-1] / table["epoch"].iloc[-1])
        for seed, table in trainings.items()
    }
    return Case(
        name=name,
        outcomes=tuple(ended["outcome"]),
        reasons=tuple(
            reason
            for outcome, reason in ended[["outcome", "reason"]].itertuples(index=False)
            if outcome != Outcome.COMPLETED.value
        ),
        seconds=Sample.of(list(by_seed.values())),
        seconds_by_seed=by_seed,
        whole=Sample.of(
            [
                float((row["wall_seconds"] - row["warmup_seconds"]) / row["epoch"])
                for row in (table.iloc[-1] for table in trainings.values())
            ]
        ),
        nfe_forward=mean("nfe_forward"),
        nfe_backward=mean("nfe_backward"),
        vjp_backward=mean("vjp_backward"),
        peak_memory=float(every["peak_memory_bytes"].max()) if trainings else math.nan,
        train=sample("train_accuracy"),
        val=sample("val_accuracy"),
        test=sample("test_accuracy"),
        train_curve=_curve(reported, "train_accuracy"),
        test_curve=_curve(reported, "test_accuracy"),
        disturbed=int((whole["clock"] != "").sum()),
    )


def _curve(trainings: list[pd.DataFrame], column: str) -> Curve:
    if not trainings:
        return Curve(*(np.empty(0) for _ in range(4)))
    by_epoch = pd.concat(trainings).dropna(subset=[column]).groupby("epoch")[column]
    return Curve(
        np.array([epoch for epoch, _ in by_epoch], dtype=float),
        by_epoch.mean().to_numpy(),
        by_epoch.min().to_numpy(),
        by_epoch.max().to_numpy(),
    )


def _with_interval(name: str, sample: Sample) -> dict[str, float]:
    low, high = sample.interval()
    return {name: sample.mean, f"{name}_low": low, f"{name}_high": high}
