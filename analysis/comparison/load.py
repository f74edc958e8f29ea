"""Load a comparison from its run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.clock import check_clocks
from analysis.comparison.data import Case, ComparisonSummary
from analysis.load import RUNNING, Run
from analysis.plots.style import Band
from analysis.statistics import Sample
from tune_ode.records import COMPARE, MANIFEST, InvalidRecord, Outcome
from tune_ode.records.record import Count, Record


@dataclass(frozen=True, kw_only=True)
class _Options(Record):
    """The options of a comparison that its summary shows."""

    dataset: str
    epochs: Count
    seeds: Count
    cases: list[str]


def load_comparison(run: Run) -> ComparisonSummary | None:
    """Summarize a comparison; None if the run is not one, or has no reports yet."""
    if run.manifest.options.get("command") != COMPARE or run.reports.empty:
        return None
    try:
        options = _Options.from_json(run.manifest.options)
    except InvalidRecord as error:
        run.passed_over.append(f"{MANIFEST} (options of the comparison: {error})")
        return None
    trials = run.trials.assign(clock=check_clocks(run.reports, len(run.trials))["clock"])
    cases = tuple(
        _case(str(name), table, run.reports)
        for name, table in trials.groupby("confirms", sort=False)
    )
    if not cases:
        return None
    ended = sum(len(case.outcomes) for case in cases)
    return ComparisonSummary(
        cases=cases,
        dataset=options.dataset,
        epochs=options.epochs,
        seeds=max(len({_seed(config) for config in trials["config"]}), 1),
        train_images=run.manifest.train_images,
        test_images=run.manifest.test_images,
        device=" + ".join(sorted(set(run.reports["device"]))),
        unfinished=max(len(options.cases) * options.seeds - ended, 0),
    )


def _case(name: str, trials: pd.DataFrame, reports: pd.DataFrame) -> Case:
    """Summarize the trainings of a case from all reports of the run."""
    ended = trials[~trials["outcome"].isin([RUNNING, Outcome.INTERRUPTED.value])]
    completed = ended["outcome"] == Outcome.COMPLETED.value
    started = reports[reports["trial"].isin(trials.index)]
    every = reports[reports["trial"].isin(ended.index[completed])]
    last = every.groupby("trial").tail(1)
    seeds = [_seed(config) for config in trials.loc[last["trial"], "config"]]
    seconds = last["train_seconds"] / last["epoch"]
    wall_seconds = (last["wall_seconds"] - last["warmup_seconds"]) / last["epoch"]
    return Case(
        name=name,
        outcomes=tuple(ended["outcome"]),
        reasons=tuple(ended.loc[~completed, "reason"]),
        seconds=Sample.of(seconds.to_numpy()),
        seconds_by_seed=dict(zip(seeds, seconds, strict=True)),
        wall_seconds=Sample.of(wall_seconds.to_numpy()),
        nfe_forward=float(every["nfe_forward"].mean()),
        nfe_backward=float(every["nfe_backward"].mean()),
        vjp_backward=float(every["vjp_backward"].mean()),
        peak_memory=float(every["peak_memory_bytes"].max()),
        train=Sample.of(last["train_accuracy"].dropna().to_numpy()),
        val=Sample.of(last["val_accuracy"].dropna().to_numpy()),
        test=Sample.of(last["test_accuracy"].dropna().to_numpy()),
        train_curve=_curve(started, "train_accuracy"),
        test_curve=_curve(started, "test_accuracy"),
        disturbed=int((ended.loc[completed, "clock"] != "").sum()),
    )


def _seed(config: Mapping[str, Any]) -> int:
    seed = config.get("seed")
    return seed if isinstance(seed, int) else 0


def _curve(reports: pd.DataFrame, column: str) -> Band:
    by_epoch = reports.dropna(subset=[column]).groupby("epoch")[column]
    middle = by_epoch.mean()
    return Band(
        middle.index.to_numpy(),
        middle.to_numpy(),
        by_epoch.min().to_numpy(),
        by_epoch.max().to_numpy(),
    )
