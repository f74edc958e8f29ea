"""A run's folder `confirm/` → its candidates, each with what its trainings measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis import curves
from analysis.clock import check_clocks
from analysis.confirmed import Candidate, Confirmed, Latency, SolvedBy, in_order
from analysis.load import RUNNING, Run, load_run
from analysis.rank import measured
from analysis.ranking import Ranking
from analysis.statistics import Sample
from tune_ode import records
from tune_ode.records import Outcome

DISCRETE = 0.02
"""A model that loses more accuracy than this when it is solved tightly is no ODE any more."""
NAN = math.nan


def load_confirmed(run: Run, ranking: Ranking) -> Confirmed | None:
    """Read a run's confirmation, if it has one in which some training has ended.

    Args:
        run: as loaded.
        ranking: of it; gives the floor, the clock and what the search had measured.

    Raises:
        RunFolderError: it cannot be read.
    """
    folder = run.folder / records.CONFIRM
    if not (folder / records.MANIFEST).exists():
        return None
    again = load_run(folder)
    ended = again.trials[~again.trials["outcome"].isin([RUNNING, Outcome.INTERRUPTED.value])]
    if ended.empty:
        return None
    asked = again.manifest.options
    points = dict(iter(measured(again, ranking.clock).groupby("trial_id")))
    searched = {row["trial_id"]: row for row in ranking.to_records()}
    estimated = dict(iter(run.lines.groupby("trial_id")))
    threads = 0
    candidates = []
    for name, trials in ended.groupby("confirms", sort=False):
        trainings = [
            _Training(
                str(row["outcome"]),
                points.get(row["trial_id"]),
                records.read_json(folder / records.TRIALS / row["trial_id"] / records.CONFIRMATION),
            )
            for row in trials.to_dict("records")
        ]
        devices = again.lines.loc[again.lines["trial_id"].isin(trials["trial_id"]), "device"]
        found = [training.found for training in trainings if training.found is not None]
        threads = max([threads, *(int(one.get("threads", 0)) for one in found)])
        candidates.append(
            _candidate(
                str(name), trainings, ranking,
                is_default=name == asked.get("default"),
                params=trials["params"].iloc[0],
                device=" + ".join(sorted(set(devices))),
                searched=searched.get(name, {}),
                estimated=estimated.get(str(name)),
            )
        )  # fmt: skip
    return Confirmed(
        in_order(candidates), ranking.floor, ranking.chance, ranking.clock, threads,
        unfinished=0
        if again.manifest.state == "finished"
        else max(int(asked.get("trainings", 0)) - len(ended), 0),
        disturbed=int((check_clocks(again.lines, len(again.trials))["clock"] != "").sum()),
    )  # fmt: skip


@dataclass(frozen=True)
class _Training:
    outcome: str
    curve: pd.DataFrame | None
    """Its points, as from `measured`."""
    found: Mapping[str, Any] | None
    """Its confirmation.json."""


def _candidate(
    trial_id: str,
    trainings: Sequence[_Training],
    ranking: Ranking,
    *,
    is_default: bool,
    params: Mapping[str, Any],
    device: str,
    searched: Mapping[str, Any],
    estimated: pd.DataFrame | None,
) -> Candidate:
    # one that broke down may have reached the floor before: it would not be used
    whole = [one for one in trainings if one.outcome == Outcome.COMPLETED and one.found]
    seconds, rates, best, same, used = [], [], [], [], []
    for one in whole:
        if one.curve is None:
            continue
        at, accuracy = one.curve["seconds"].to_numpy(), one.curve["accuracy"].to_numpy()
        best.append(accuracy.max())
        used.append(one.curve["train_seconds"].max())
        epochs = _or(searched.get("epochs"), math.inf)
        if (by_then := one.curve["epoch"].to_numpy() <= epochs).any():
            same.append(accuracy[by_then].max())
        rate = curves.accuracy_per_second(at, accuracy, chance=ranking.chance, floor=ranking.floor)
        if rate is not None and rate > 0:
            rates.append(math.log(rate))
            seconds.append(math.log(curves.seconds_to(at, accuracy, ranking.floor)))
    found = [one.found for one in whole if one.found is not None]
    gaps, lost = _gaps(found)
    gap = _mean(gaps)
    search_accuracy = _or(searched.get("best_accuracy"), NAN)
    return Candidate(
        trial_id=trial_id,
        params=params,
        is_default=is_default,
        outcomes=tuple(one.outcome for one in trainings),
        reached=len(rates),
        test=Sample.of([one["test_accuracy"] for one in found]),
        val=Sample.of(best),
        log_seconds=Sample.of(seconds),
        log_rate=Sample.of(rates),
        train_seconds=_mean(used),
        cold_seconds=_mean([one["cold_seconds"] for one in found if one["cold_seconds"]]),
        ode_gap=gap,
        discrete=lost or round(gap, 9) > DISCRETE,
        solved=_solved(found),
        latencies=_latencies(found),
        device=device,
        search_rank=searched.get("rank"),
        search_accuracy=search_accuracy,
        flattered=search_accuracy - _mean(same),
        search_rate=_or(searched.get("accuracy_per_second"), NAN)
        if searched.get("device") == device
        else NAN,
        isolated_off=_isolated_off(estimated, [one.curve for one in whole])
        if estimated is not None and searched.get("device") == device
        else NAN,
    )


def _gaps(found: Sequence[Mapping[str, Any]]) -> tuple[list[float], bool]:
    """Return the accuracy that each model loses when solved tightly, and whether one could not."""
    gaps, lost = [], False
    for one in found:
        tight = one.get("reference")
        if not tight or not one["solves"]:
            continue  # no ODE
        own = one["solves"][0]["accuracy"]
        if tight["accuracy"] is None:
            lost = True
        elif own is not None:
            gaps.append(own - tight["accuracy"])
    return gaps, lost


def _isolated_off(estimated: pd.DataFrame, curves: Sequence[pd.DataFrame | None]) -> float:
    """Return the isolated seconds of a search's trial over those of its retrainings, minus 1.

    At the last epoch that it came to, since an adaptive solver's epochs grow longer.
    """
    last = estimated.iloc[-1]
    alone = [
        float(np.interp(last["epoch"], [0.0, *curve["epoch"]], [0.0, *curve["train_seconds"]]))
        for curve in curves
        if curve is not None and curve["epoch"].max() >= last["epoch"]
    ]
    return float(last["isolated_seconds"]) / _mean(alone) - 1


def _solved(found: Sequence[Mapping[str, Any]]) -> tuple[SolvedBy, ...]:
    by_solver: dict[tuple[str, int | None, float | None, bool], list[tuple[float, float]]] = {}
    for one in found:
        for solve in [*one["solves"], *([one["reference"]] if one.get("reference") else [])]:
            if solve["accuracy"] is not None:
                solver = (solve["method"], solve["steps"], solve["rtol"], solve["own"])
                by_solver.setdefault(solver, []).append((solve["evaluations"], solve["accuracy"]))
    return tuple(
        SolvedBy(*solver, *(float(mean) for mean in np.mean(pairs, axis=0)))
        for solver, pairs in by_solver.items()
        # some that failed would leave the mean of the lucky ones
        if len(pairs) == len(found)
    )


def _latencies(found: Sequence[Mapping[str, Any]]) -> tuple[Latency, ...]:
    by_batch: dict[int, list[tuple[float, float, float]]] = {}
    for one in found:
        for latency in one["latencies"]:
            figures = (latency["median_ms"], latency["low_ms"], latency["high_ms"])
            by_batch.setdefault(latency["batch"], []).append(figures)
    return tuple(
        Latency(batch, *(float(median) for median in np.median(rows, axis=0)))
        for batch, rows in sorted(by_batch.items())
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else NAN


def _or(value: Any, otherwise: float) -> float:
    return otherwise if value is None or value != value else float(value)
