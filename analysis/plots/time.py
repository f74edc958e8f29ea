"""Use of time: a timeline of trials, and seconds by activity."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.load import Run
from analysis.plots import style
from analysis.ranking import Ranking
from tune_ode.text import pluralize

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Bar:
    """An attempt of a trial, from start to end."""

    trial_id: str
    attempt: int
    outcome: str
    """Outcome of the trial; `interrupted` for an attempt that was followed by another."""
    start: float
    """Seconds since the run began."""
    end: float
    """Seconds since the run began; the last report if another attempt followed."""
    lane: int
    """Index in `TimelineData.lanes`; bars in a lane do not overlap."""


@dataclass(frozen=True)
class TimelineData:
    """Input of `plot_timeline`."""

    bars: tuple[Bar, ...]
    lanes: tuple[tuple[str, str], ...]
    """Node and device of each lane."""
    gaps: tuple[tuple[float, float], ...]
    """Seconds since the run began, and length in seconds, of pauses that were cut out."""


_LONGEST_GAP = 600.0
"""Longest pause in seconds that is shown; during a longer one the search was interrupted."""


def timeline_data(run: Run, ranking: Ranking) -> TimelineData | None:
    """Assign every attempt of every trial to a lane of its node and device.

    An attempt that was followed by another is left out if it has no reports.
    """
    spans = _spans(run)
    if spans.empty:
        return None
    spans, gaps = _without_gaps(spans)
    lanes: list[tuple[str, str]] = []
    bars: list[Bar] = []
    for (node, device), attempts in spans.groupby(["node", "device"]):
        free: list[tuple[float, int]] = []
        for span in attempts.to_dict("records"):
            start, end = float(span["start"]), float(span["end"])
            if free and free[0][0] <= start + 1e-6:
                _, lane = heapq.heappop(free)
            else:
                lane = len(lanes)
                lanes.append((str(node), str(device)))
            heapq.heappush(free, (end, lane))
            trial_id, attempt = str(span["trial_id"]), int(span["attempt"])
            bars.append(Bar(trial_id, attempt, str(span["outcome"]), start, end, lane))
    return TimelineData(tuple(bars), tuple(lanes), gaps)


def _spans(run: Run) -> pd.DataFrame:
    """Return the start and end of each attempt, in seconds of the run, with node and device."""
    trials = run.trials[["trial_id", "outcome", "attempt", "started", "ended", "created"]]
    trials = trials.astype({"attempt": float}).reset_index(names="trial")
    reported = _reported(run.reports)
    last = trials.merge(reported, on=["trial", "attempt"], how="left")
    start = last["started"].fillna(last["first"]).fillna(last["created"])
    last = last.assign(start=start, end=last["ended"].fillna(last["last"]).fillna(start))
    earlier = reported.merge(trials, on="trial", suffixes=("", "_last"))
    earlier = earlier[earlier["attempt"] < earlier["attempt_last"]]
    # A trial is created when its first attempt starts.
    start = earlier["first"].where(earlier["attempt"] > 1, earlier["created"])
    earlier = earlier.assign(outcome="interrupted", start=start, end=earlier["last"])
    columns = ["trial_id", "attempt", "outcome", "start", "end", "node", "device"]
    spans = pd.concat([last[columns], earlier[columns]], ignore_index=True)
    # An attempt without reports gets the most frequent node and device.
    counts = spans[["node", "device"]].dropna().value_counts()
    frequent = counts.index[0] if len(counts) else ("", "")
    for name, value in zip(("node", "device"), frequent, strict=True):
        spans[name] = spans[name].fillna(value)
    spans = spans[spans["end"] >= spans["start"]]
    spans["start"] -= run.manifest.created
    spans["end"] -= run.manifest.created
    return spans.sort_values(["start", "trial_id"], ignore_index=True)


def _reported(reports: pd.DataFrame) -> pd.DataFrame:
    """Return the start, last report, node and device of each attempt with reports."""
    # wall_seconds accumulate over the attempts of a trial.
    before = reports.groupby("trial")["wall_seconds"].shift(fill_value=0.0)
    begun = reports["timestamp"] - (reports["wall_seconds"] - before)
    attempts = reports.assign(begun=begun).groupby(["trial", "attempt"], as_index=False)
    return attempts.agg(
        first=("begun", "first"), last=("timestamp", "last"),
        node=("node", "last"), device=("device", "last"),
    )  # fmt: skip


def _without_gaps(spans: pd.DataFrame) -> tuple[pd.DataFrame, tuple[tuple[float, float], ...]]:
    """Remove the pauses of a search that was interrupted and resumed."""
    ends = np.maximum.accumulate(spans["end"].to_numpy())
    starts = spans["start"].to_numpy()
    pauses = np.append(0.0, np.clip(starts[1:] - ends[:-1], 0, None))
    pauses[pauses <= _LONGEST_GAP] = 0.0
    cut = np.cumsum(pauses)
    gaps = tuple((float(starts[i] - cut[i]), float(pauses[i])) for i in np.flatnonzero(pauses))
    return spans.assign(start=starts - cut, end=spans["end"] - cut), gaps


def plot_timeline(data: TimelineData, ax: Axes) -> None:
    """Draw a row per lane and a bar per attempt, coloured by outcome."""
    unit, name = _unit(max(bar.end for bar in data.bars))
    for outcome, (colour, hatch) in style.OUTCOMES.items():
        bars = [bar for bar in data.bars if bar.outcome == outcome]
        if bars:
            ax.barh(
                [bar.lane for bar in bars], [(bar.end - bar.start) / unit for bar in bars],
                left=[bar.start / unit for bar in bars], height=0.8, color=colour, hatch=hatch,
                edgecolor="white", lw=0.4 if len(data.bars) < 300 else 0.1,
                label=f"{outcome.replace('_', ' ')} ({len(bars)})",
            )  # fmt: skip
    if len(data.bars) <= 60:
        _label_bars(data, unit, ax)
    for start, length in data.gaps:
        ax.axvline(start / unit, color=style.INK, lw=0.8, ls=":")
        ax.annotate(
            f"{length / 60:.0f} min cut out", (start / unit, 1.0), rotation=90, va="top",
            ha="right", xycoords=("data", "axes fraction"), fontsize=7,
        )  # fmt: skip
    several = len({node for node, _ in data.lanes}) > 1
    names = [f"{node}, {device}" if several else device for node, device in data.lanes]
    ax.set_yticks(range(len(names)), names, fontsize=8 if len(names) < 20 else 5)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(f"time since the run began ({name})")
    ax.set_ylabel("lanes of concurrent trials")
    ax.set_xlim(left=0)
    number = len({bar.trial_id for bar in data.bars})
    trials = pluralize(number, "trial")
    if len(data.bars) > number:
        trials += f" in {len(data.bars):,} attempts"
    ax.set_title(f"{trials} over {pluralize(len(data.lanes), 'lane')}", loc="left")
    style.legend_below(ax, columns=4)


def _label_bars(data: TimelineData, unit: float, ax: Axes) -> None:
    label_width = 0.028 * max(bar.end for bar in data.bars)
    for bar in data.bars:
        if bar.end - bar.start > label_width:
            ax.annotate(
                bar.trial_id, ((bar.start + bar.end) / 2 / unit, bar.lane), ha="center",
                va="center", fontsize=6.5, color="black",
                bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.75},
            )  # fmt: skip


def _unit(seconds: float) -> tuple[float, str]:
    if seconds > 3 * 3600:
        return 3600.0, "hours"
    return (60.0, "minutes") if seconds > 180 else (1.0, "seconds")


@dataclass(frozen=True)
class TimeUseData:
    """Input of `plot_time_use`."""

    seconds: dict[str, float]
    """Activity → seconds, summed over all lanes; always in the same order."""
    lanes: int
    """Most concurrent trials."""
    search_seconds: float
    """Wall-clock seconds of the search."""


def time_use_data(run: Run, ranking: Ranking) -> TimeUseData | None:
    """Divide lanes × wall-clock seconds by activity."""
    timeline = timeline_data(run, ranking)
    if timeline is None or run.reports.empty:
        return None
    last = run.reports.groupby("trial")[[*_ACTIVITIES, "wall_seconds"]].last().fillna(0.0).sum()
    inside = {name: float(last[column]) for column, name in _ACTIVITIES.items()}
    lanes = len(timeline.lanes)
    span = max(bar.end for bar in timeline.bars) - min(bar.start for bar in timeline.bars)
    occupied = sum(bar.end - bar.start for bar in timeline.bars)
    searched = max(run.manifest.seconds, span) + run.manifest.contention_seconds
    within = float(last["wall_seconds"] + last["setup_seconds"])
    between = sum(_short_pauses(timeline.bars))
    proposals = min(run.manifest.proposal_seconds, between)
    start = lanes * (run.manifest.start_seconds or 0.0)
    contention = lanes * run.manifest.contention_seconds
    known = start + between + occupied + contention
    return TimeUseData(
        {
            **inside,
            "other time in trials": max(within - sum(inside.values()), 0.0),
            "communication with the driver": max(occupied - within, 0.0),
            "pauses between trials": between - proposals,
            "proposals": proposals,
            "startup: Ray and the first processes": start,
            "contention measurement": contention,
            "idle lanes": max(lanes * searched - known, 0.0),
        },
        lanes=lanes,
        search_seconds=searched,
    )


_ACTIVITIES = {
    "train_seconds": "training",
    "eval_seconds": "evaluation",
    "warmup_seconds": "warm-up",
    "checkpoint_seconds": "checkpoints",
    "setup_seconds": "imports and data",
}
"""Column of the reports → activity of a trial."""
_SHORT_PAUSE = 5.0
"""Longest pause in seconds between two trials of a lane that does not count as idle."""


def _short_pauses(bars: Sequence[Bar]) -> Iterator[float]:
    """Yield the seconds between consecutive bars of a lane, except when it was idle."""
    ends: dict[int, float] = {}
    for bar in sorted(bars, key=lambda bar: bar.start):
        pause = bar.start - ends.get(bar.lane, bar.start)
        if 0 < pause <= _SHORT_PAUSE:
            yield pause
        ends[bar.lane] = bar.end


def plot_time_use(data: TimeUseData, ax: Axes) -> None:
    """Draw a bar per activity."""
    total = sum(data.seconds.values()) or 1.0
    unit, name = _unit(max(data.seconds.values()))
    for row, seconds in enumerate(data.seconds.values()):
        ax.barh(row, seconds / unit, color=style.COLOURS[row % 7], height=0.7)
        ax.annotate(
            f" {seconds / total:.1%}", (seconds / unit, row), va="center", fontsize=9,
            color=style.INK,
        )  # fmt: skip
    ax.set_yticks(range(len(data.seconds)), list(data.seconds), fontsize=9)
    ax.set_ylim(len(data.seconds) - 0.5, -0.5)
    ax.margins(x=0.1)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(f"time, summed over {pluralize(data.lanes, 'lane')} ({name})")
    training = data.seconds["training"] / total
    ax.set_title(
        f"Use of {data.lanes} × {data.search_seconds:.0f} s: {training:.0%} training", loc="left"
    )
