"""The best trial in one sentence, the same in the terminal, on the page and during a search."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from analysis.params import compact_params
from analysis.ranking import metrics
from analysis.ranking.points import CLOCK_NAMES
from analysis.ranking.table import Ranking
from tune_ode.text import format_duration, pluralize

Row = Mapping[str, Any]

_CRITERIA = {
    "accuracy_per_second": "accuracy per second",
    "anytime": "anytime area",
    "seconds": "seconds to the floor",
    "pareto": "accuracy on the Pareto front",
    "hypervolume": "contribution to the hypervolume",
}


def describe_best(ranking: Ranking, *, brief: bool = False) -> list[str]:
    """Return a sentence for each device with ranked trials: the first trial and the criterion.

    It continues with what one must know of the trial: that its clock was disturbed, and the command
    that measures it again; how many trials are tied with it; which trial is more accurate.

    Args:
        ranking: ranking of one or more runs.
        brief: leave out parameters, ties and the command, for the one line of a running search.
    """
    return ["; ".join(_parts(ranking, row, brief)) for row in ranking.first_rows()]


def best_by_trial(ranking: Ranking) -> list[float]:
    """Return the best value of the ranked column so far, from the first ranked trial on.

    One value per measured trial of the first device, in the order in which they were created.
    """
    table = ranking.table
    table = table[table["device"] == ranking.devices[0]] if ranking.devices else table[:0]
    table = table.sort_values("trial_id", key=lambda ids: ids.str.zfill(12))  # 10000 after 9999
    values = table[ranking.column].astype(float).where(table["rank"].notna())
    best = values.cummin() if metrics.metric(ranking.by).ascending else values.cummax()
    return [float(value) for value in best.ffill().dropna()]


def criterion(by: str) -> str:
    """Return the name of a metric in a sentence, such as `accuracy within 1 min`."""
    metric = metrics.metric(by)
    if metric.target is not None:
        return f"seconds to accuracy {metric.target:g}"
    if metric.budget is not None:
        return f"accuracy within {format_duration(metric.budget)}"
    return _CRITERIA.get(by, by)


def retrain_command(ranking: Ranking, row: Row) -> str:
    """Return the command that trains a trial again, alone on the device.

    `confirm` includes the trial if it is first by the default criterion, on the first device.
    """
    folder = str(dict(zip(ranking.runs, ranking.folders, strict=True))[row["run"]])
    if ranking.is_default and row["device"] == ranking.devices[0]:
        return shlex.join(["tune-ode", "confirm", folder])
    return shlex.join(["tune-ode", "train", f"{folder}:{row['trial_id']}"])


def _parts(ranking: Ranking, row: Row, brief: bool) -> Iterator[str]:
    where = f" on {row['device']}" if len(ranking.devices) > 1 else ""
    params = "" if brief else f" ({compact_params(row['params']) or 'nothing searched'})"
    clock, best = CLOCK_NAMES[ranking.clock], row["best_accuracy"]
    more = best > row["val_accuracy"]
    yield (
        f"Best{where} by {criterion(ranking.by)}: trial {ranking.trial_name(row)}{params}, "
        f"{row['val_accuracy']:.2%} validation accuracy after {row['seconds']:.3g} s of {clock}"
        + f", {best:.2%} at best"
        * (more and not brief)
    )
    if row["clock"]:
        remedy = "confirm it" if brief else f"confirm it with: {retrain_command(ranking, row)}"
        yield f"its clock was disturbed ({row['clock']}); {remedy}"
    table = ranking.table[ranking.table["device"] == row["device"]]
    if ranking.shows_ties and not brief and (ties := int(table["tied"].sum())):
        yield f"{pluralize(ties, 'other trial')} cannot be told from it"
    # in the order of the ranking, so that the first of equally accurate ones is named
    other = table.loc[table["best_accuracy"].idxmax()]
    if other["best_accuracy"] > best:
        its, first = (_value(ranking.by, one[ranking.column]) for one in (other, row))
        slightly, figures = ("slightly ", "") if its == first else ("", f": {its} against {first}")
        yield (
            f"trial {ranking.trial_name(other)} is more accurate, {other['best_accuracy']:.2%}, "
            f"but {slightly}behind in {criterion(ranking.by)}{figures}"
        )


def _value(by: str, value: float | None) -> str:
    """Return a value of the ranked column."""
    if value is None or not math.isfinite(value):
        return "none"
    if by.startswith("seconds"):
        return f"{value:.3g} s"
    return f"{value:.2%}" if by.startswith("accuracy@") else f"{value:.3g}"
