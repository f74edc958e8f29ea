"""Load a comparison from its run."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.clock import check_clocks
from analysis.comparison.data import Case, ComparisonSummary, EpochCurve
from analysis.load import RUNNING, Run
from analysis.statistics import Sample
from tune_ode.records import COMPARE, Outcome


def load_comparison(run: Run) -> ComparisonSummary | None:
    """Summarize a comparison; None if the run is not one, or has no reports yet."""
    options = run.manifest.options
    if options.get("command") != COMPARE or run.reports.empty:
        return None
    trials = run.trials.assign(clock=check_clocks(run.reports, len(run.trials))["clock"])
    reports = {str(name): table for name, table in run.reports.groupby("trial_id")}
    cases = tuple(
        _case(str(name), table, reports) for name, table in trials.groupby("confirms", sort=False)
    )
    ended = sum(len(case.outcomes) for case in cases)
    return ComparisonSummary(
        cases=cases,
        dataset=str(options["dataset"]),
        epochs=int(options["epochs"]),
        seeds=max(len({config["seed"] for config in trials["config"]}), 1),
        train_images=run.manifest.train_images,
        test_images=run.manifest.test_images,
        device=" + ".join(sorted(set(run.reports["device"]))),
        unfinished=max(len(options["cases"]) * options["seeds"] - ended, 0),
    )


def _case(name: str, trials: pd.DataFrame, reports: Mapping[str, pd.DataFrame]) -> Case:
    ended = trials[~trials["outcome"].isin([RUNNING, Outcome.INTERRUPTED.value])]
    completed = ended["outcome"] == Outcome.COMPLETED.value
    trainings = {
        int(row["config"]["seed"]): reports[row["trial_id"]]
        for row in ended[completed].to_dict("records")
        if row["trial_id"] in reports
    }
    every = pd.concat(trainings.values()) if trainings else pd.DataFrame()
    last = pd.DataFrame([table.iloc[-1] for table in trainings.values()])
    reported = [reports[trial] for trial in trials["trial_id"] if trial in reports]

    def mean(column: str) -> float:
        return float(every[column].mean()) if trainings else math.nan

    def sample(column: str) -> Sample:
        return Sample.of(last[column].dropna().to_numpy(dtype=float) if trainings else [])

    by_seed = {
        seed: float(table["train_seconds"].iloc[-1] / table["epoch"].iloc[-1])
        for seed, table in trainings.items()
    }
    wall = (last["wall_seconds"] - last["warmup_seconds"]) / last["epoch"] if trainings else last
    return Case(
        name=name,
        outcomes=tuple(ended["outcome"]),
        reasons=tuple(ended.loc[~completed, "reason"]),
        seconds=Sample.of(list(by_seed.values())),
        seconds_by_seed=by_seed,
        wall_seconds=Sample.of(wall.to_numpy(dtype=float)),
        nfe_forward=mean("nfe_forward"),
        nfe_backward=mean("nfe_backward"),
        vjp_backward=mean("vjp_backward"),
        peak_memory=float(every["peak_memory_bytes"].max()) if trainings else math.nan,
        train=sample("train_accuracy"),
        val=sample("val_accuracy"),
        test=sample("test_accuracy"),
        train_curve=_curve(reported, "train_accuracy"),
        test_curve=_curve(reported, "test_accuracy"),
        disturbed=int((ended.loc[completed, "clock"] != "").sum()),
    )


def _curve(trainings: list[pd.DataFrame], column: str) -> EpochCurve:
    if not trainings:
        return EpochCurve(*(np.empty(0) for _ in range(4)))
    by_epoch = pd.concat(trainings).dropna(subset=[column]).groupby("epoch")[column]
    return EpochCurve(
        np.array([epoch for epoch, _ in by_epoch], dtype=float),
        by_epoch.mean().to_numpy(),
        by_epoch.min().to_numpy(),
        by_epoch.max().to_numpy(),
    )
