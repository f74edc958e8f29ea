"""Load a confirmation from the directory `confirm/` of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis import curves
from analysis.clock import check_clocks
from analysis.confirmation.data import (
    MAX_ODE_GAP,
    NAN,
    Candidate,
    ConfirmationSummary,
    Latency,
    SolverScore,
)
from analysis.confirmation.statistics import rank_candidates
from analysis.load import RUNNING, Run, load_run
from analysis.ranking import Ranking
from analysis.ranking.points import curve_points
from analysis.rate import accuracy_per_second
from analysis.statistics import Sample
from tune_ode import records
from tune_ode.errors import RunFolderError
from tune_ode.records import Outcome


def load_confirmation(run: Run, ranking: Ranking) -> ConfirmationSummary | None:
    """Summarize the confirmation of a run; None if no training of it has ended.

    Args:
        run: the search.
        ranking: its ranking, which gives the floor, the clock and the figures to compare with.

    """
    confirm = _load(run)
    if confirm is None:
        return None
    ended = confirm.trials[~confirm.trials["outcome"].isin([RUNNING, Outcome.INTERRUPTED.value])]
    if not ended["confirms"].notna().any():
        return None
    options = confirm.manifest.options
    curve_of = dict(iter(curve_points(confirm, ranking.clock).groupby("trial_id")))
    row_of = {row["trial_id"]: row for row in ranking.to_records()}
    reports_of = dict(iter(run.reports.groupby("trial_id")))
    threads = 0
    candidates = []
    for name, trials in ended.groupby("confirms", sort=False):
        trainings = [
            _Training(
                str(row["outcome"]),
                curve_of.get(row["trial_id"]),
                _scores(confirm, str(row["trial_id"]), run.passed_over),
            )
            for row in trials.to_dict("records")
        ]
        of_name = confirm.reports["trial_id"].isin(trials["trial_id"])
        threads = max(threads, *(int((one.scores or {}).get("threads", 0)) for one in trainings))
        candidates.append(
            _candidate(
                str(name),
                trainings,
                ranking,
                is_default=name == options.get("default"),
                params=trials["params"].iloc[0],
                device=" + ".join(sorted(set(confirm.reports.loc[of_name, "device"]))),
                images=run.manifest.validation_images,
                row=row_of.get(name, {}),
                reports=reports_of.get(str(name)),
            )
        )
    finished = confirm.manifest.state == "finished"
    asked = found if isinstance(found := options.get("trainings"), int) else 0
    return ConfirmationSummary(
        candidates=rank_candidates(candidates),
        floor=ranking.floor,
        clock=ranking.clock,
        threads=threads,
        unfinished=0 if finished else max(asked - len(ended), 0),
        disturbed=int((check_clocks(confirm.reports, len(confirm.trials))["clock"] != "").sum()),
    )


def _load(run: Run) -> Run | None:
    folder = run.folder / records.CONFIRM
    if not (folder / records.MANIFEST).exists():
        return None
    try:
        confirm = load_run(folder)
    except RunFolderError as error:
        run.passed_over.append(f"{records.CONFIRM} ({error})")
        return None
    run.passed_over.extend(f"{records.CONFIRM}/{line}" for line in confirm.passed_over)
    return confirm


def _scores(confirm: Run, trial_id: str, passed_over: list[str]) -> dict[str, Any] | None:
    """Return the content of a trial's confirmation.json, or None if it is not valid."""
    reader = records.TrialReader(confirm.folder / records.TRIALS / trial_id)
    found = reader.record(records.CONFIRMATION, records.Confirmation)
    passed_over.extend(f"{records.CONFIRM}/{line}" for line in reader.passed_over)
    return None if found is None else found.to_json()


@dataclass(frozen=True)
class _Training:
    outcome: str
    curve: pd.DataFrame | None
    """Its points, as from `curve_points`; None without any."""
    scores: Mapping[str, Any] | None
    """Content of its confirmation.json."""


def _candidate(
    trial_id: str,
    trainings: Sequence[_Training],
    ranking: Ranking,
    *,
    is_default: bool,
    params: Mapping[str, Any],
    device: str,
    images: int | None,
    row: Mapping[str, Any],
    reports: pd.DataFrame | None,
) -> Candidate:
    """Summarize trainings; `row` and `reports` are those of the trial in the search."""
    # Trainings that did not complete count as failures, even if they reached the floor before.
    completed = [one for one in trainings if one.outcome == Outcome.COMPLETED and one.scores]
    found = [one.curve for one in completed if one.curve is not None]
    log_seconds, log_rates, best, same_epochs = [], [], [], []
    for curve in found:
        seconds, accuracy = curve["seconds"].to_numpy(), curve["accuracy"].to_numpy()
        best.append(accuracy.max())
        within = curve["epoch"].to_numpy() <= _or(row.get("epochs"), math.inf)
        if within.any():
            same_epochs.append(accuracy[within].max())
        rate = accuracy_per_second(
            seconds,
            accuracy,
            chance=ranking.chance,
            floor=ranking.floor,
            images=images,
            sampled=curve["val_images"].to_numpy(),
        )
        if rate is not None and rate.value > 0:
            log_rates.append(math.log(rate.value))
            log_seconds.append(math.log(curves.seconds_to(seconds, accuracy, ranking.floor)))
    scores = [one.scores for one in completed if one.scores is not None]
    gaps, unsolvable = _ode_gaps(scores)
    gap = _mean(gaps)
    search_accuracy = _or(row.get("best_accuracy"), NAN)
    same_device = row.get("device") == device
    return Candidate(
        trial_id=trial_id,
        params=params,
        is_default=is_default,
        outcomes=tuple(one.outcome for one in trainings),
        reached=len(log_rates),
        test=Sample.of([one["test_accuracy"] for one in scores]),
        val=Sample.of(best),
        log_seconds=Sample.of(log_seconds),
        log_rate=Sample.of(log_rates),
        train_seconds=_mean([curve["train_seconds"].max() for curve in found]),
        cold_seconds=_mean([one["cold_seconds"] for one in scores if one["cold_seconds"]]),
        ode_gap=gap,
        discrete=unsolvable or round(gap, 9) > MAX_ODE_GAP,
        solved=_solver_scores(scores),
        latencies=_latencies(scores),
        device=device,
        search_rank=row.get("rank"),
        search_accuracy=search_accuracy,
        optimism=search_accuracy - _mean(same_epochs),
        search_rate=_or(row.get("accuracy_per_second"), NAN) if same_device else NAN,
        isolated_bias=_isolated_bias(reports, found)
        if reports is not None and same_device
        else NAN,
    )


def _ode_gaps(scores: Sequence[Mapping[str, Any]]) -> tuple[list[float], bool]:
    """Return the accuracy that each model loses at a tight tolerance, and whether a solve failed.

    Models without an ODE have no gap.
    """
    gaps, unsolvable = [], False
    for one in scores:
        reference = one.get("reference")
        if not reference or not one["solves"]:
            continue
        own = one["solves"][0]["accuracy"]
        if reference["accuracy"] is None:
            unsolvable = True
        elif own is not None:
            gaps.append(own - reference["accuracy"])
    return gaps, unsolvable


def _isolated_bias(reports: pd.DataFrame, found: Sequence[pd.DataFrame]) -> float:
    """Return isolated seconds of the search over the measured ones, minus 1.

    Compared at the last epoch of the search, since epochs of an adaptive solver get longer.
    """
    last = reports.iloc[-1]
    isolated = [
        float(np.interp(last["epoch"], [0.0, *curve["epoch"]], [0.0, *curve["train_seconds"]]))
        for curve in found
        if curve["epoch"].max() >= last["epoch"]
    ]
    return float(last["isolated_seconds"]) / _mean(isolated) - 1


def _solver_scores(scores: Sequence[Mapping[str, Any]]) -> tuple[SolverScore, ...]:
    by_solver: dict[tuple[Any, ...], list[tuple[float, float]]] = {}
    for one in scores:
        for solve in [*one["solves"], *([one["reference"]] if one.get("reference") else [])]:
            if solve["accuracy"] is not None:
                solver = (solve["method"], solve["steps"], solve["rtol"], solve["own"])
                by_solver.setdefault(solver, []).append((solve["evaluations"], solve["accuracy"]))
    return tuple(
        SolverScore(*solver, *np.mean(pairs, axis=0).tolist())
        for solver, pairs in by_solver.items()
        # A mean over the models that could be solved would be too high.
        if len(pairs) == len(scores)
    )


def _latencies(scores: Sequence[Mapping[str, Any]]) -> tuple[Latency, ...]:
    by_batch: dict[int, list[tuple[float, float, float]]] = {}
    for latency in (latency for one in scores for latency in one["latencies"]):
        figures = (latency["median_ms"], latency["low_ms"], latency["high_ms"])
        by_batch.setdefault(latency["batch"], []).append(figures)
    return tuple(
        Latency(batch, *np.median(rows, axis=0).tolist())
        for batch, rows in sorted(by_batch.items())
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else NAN


def _or(value: Any, otherwise: float) -> float:
    return otherwise if value is None or value != value else float(value)
