"""Where the time went: a timeline of trials, a sum of seconds, one trial's epochs."""

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
    """Of the trial; `interrupted` for an attempt that another one followed."""
    start: float
    """Seconds since the run began."""
    end: float
    """Likewise; of an attempt that another one followed, its last report."""
    lane: int
    """Of all lanes; bars of a lane follow each other."""


@dataclass(frozen=True)
class TimelineData:
    """What `plot_timeline` draws."""

    bars: tuple[Bar, ...]
    lanes: tuple[tuple[str, str], ...]
    """Node and device of each lane."""
    gaps: tuple[tuple[float, float], ...]
    """Seconds since the run began, and seconds that were cut out: between sittings nothing ran."""


_LONGEST_GAP = 600.0
"""Seconds without any trial that are still shown; a longer pause is one between sittings."""


def timeline_data(run: Run, ranking: Ranking) -> TimelineData | None:
    """Lay every attempt of every trial on a lane of the node and device that it ran on.

    One that was followed by another is known by its reports alone: without any it is left out.
    """
    spans = _spans(run)
    if spans.empty:
        return None
    spans, gaps = _without_gaps(spans)
    lanes: list[tuple[str, str]] = []
    bars: list[Bar] = []
    for (node, device), attempts in spans.groupby(["node", "device"]):
        free: list[tuple[float, int]] = []
        for one in attempts.to_dict("records"):
            start, end = float(one["start"]), float(one["end"])
            if free and free[0][0] <= start + 1e-6:
                _, lane = heapq.heappop(free)
            else:
                lane = len(lanes)
                lanes.append((str(node), str(device)))
            heapq.heappush(free, (end, lane))
            trial_id, attempt = str(one["trial_id"]), int(one["attempt"])
            bars.append(Bar(trial_id, attempt, str(one["outcome"]), start, end, lane))
    return TimelineData(tuple(bars), tuple(lanes), gaps)


def _spans(run: Run) -> pd.DataFrame:
    """Return start and end of each attempt, in seconds of the run, with node and device."""
    trials = run.trials[["trial_id", "outcome", "attempt", "started", "ended", "created"]]
    trials = trials.astype({"attempt": float}).reset_index(names="trial")
    reported = _reported(run.lines)
    last = trials.merge(reported, on=["trial", "attempt"], how="left")
    start = last["started"].fillna(last["first"]).fillna(last["created"])
    last = last.assign(start=start, end=last["ended"].fillna(last["last"]).fillna(start))
    earlier = reported.merge(trials, on="trial", suffixes=("", "_last"))
    earlier = earlier[earlier["attempt"] < earlier["attempt_last"]]
    # a trial is created when it first starts
    start = earlier["first"].where(earlier["attempt"] > 1, earlier["created"])
    earlier = earlier.assign(outcome="interrupted", start=start, end=earlier["last"])
    columns = ["trial_id", "attempt", "outcome", "start", "end", "node", "device"]
    spans = pd.concat([last[columns], earlier[columns]], ignore_index=True)
    places = spans[["node", "device"]].dropna().value_counts()
    usual = places.index[0] if len(places) else ("", "")
    for name, value in zip(("node", "device"), usual, strict=True):
        # a trial that reported nothing does not say where it ran
        spans[name] = spans[name].fillna(value)
    spans = spans[spans["end"] >= spans["start"]]
    spans["start"] -= run.manifest.created
    spans["end"] -= run.manifest.created
    return spans.sort_values(["start", "trial_id"], ignore_index=True)


def _reported(lines: pd.DataFrame) -> pd.DataFrame:
    """Return by trial and attempt when its training began, its last report, its node and device."""
    # wall_seconds go on over the attempts of a trial
    before = lines.groupby("trial")["wall_seconds"].shift(fill_value=0.0)
    begun = lines["timestamp"] - (lines["wall_seconds"] - before)
    attempts = lines.assign(begun=begun).groupby(["trial", "attempt"], as_index=False)
    return attempts.agg(
        first=("begun", "first"), last=("timestamp", "last"),
        node=("node", "last"), device=("device", "last"),
    )  # fmt: skip


def _without_gaps(spans: pd.DataFrame) -> tuple[pd.DataFrame, tuple[tuple[float, float], ...]]:
    """Cut out the pauses between sittings of a search that was interrupted and resumed."""
    ends = np.maximum.accumulate(spans["end"].to_numpy())
    starts = spans["start"].to_numpy()
    pauses = np.append(0.0, np.clip(starts[1:] - ends[:-1], 0, None))
    pauses[pauses <= _LONGEST_GAP] = 0.0
    cut = np.cumsum(pauses)
    places = np.flatnonzero(pauses)
    gaps = tuple((float(starts[at] - cut[at]), float(pauses[at])) for at in places)
    return spans.assign(start=starts - cut, end=spans["end"] - cut), gaps


def plot_timeline(data: TimelineData, ax: Axes) -> None:
    """Draw a lane for each trial at a time, a bar for each attempt in its outcome's colour."""
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
        _name_bars(data, unit, ax)
    for at, length in data.gaps:
        ax.axvline(at / unit, color=style.INK, lw=0.8, ls=":")
        ax.annotate(
            f"{length / 60:.0f} min cut out", (at / unit, 1.0), rotation=90, va="top", ha="right",
            xycoords=("data", "axes fraction"), fontsize=7,
        )  # fmt: skip
    several = len({node for node, _ in data.lanes}) > 1
    names = [f"{node}, {device}" if several else device for node, device in data.lanes]
    ax.set_yticks(range(len(names)), names, fontsize=8 if len(names) < 20 else 5)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(f"time since the run began ({name})")
    ax.set_ylabel("lanes: trials at once")
    ax.set_xlim(left=0)
    number = len({bar.trial_id for bar in data.bars})
    trials = pluralize(number, "trial")
    if len(data.bars) > number:
        trials += f" in {len(data.bars):,} attempts"
    ax.set_title(f"{trials} over {pluralize(len(data.lanes), 'lane')}", loc="left")
    style.legend_below(ax, columns=4)


def _name_bars(data: TimelineData, unit: float, ax: Axes) -> None:
    room = 0.028 * max(bar.end for bar in data.bars)
    for bar in data.bars:
        if bar.end - bar.start > room:
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
    """What `plot_time_use` draws."""

    seconds: dict[str, float]
    """What → seconds, summed over everything that ran at once; the same order each time."""
    lanes: int
    """Most trials at once."""
    searched: float
    """Wall-clock seconds of the search."""


def time_use_data(run: Run, ranking: Ranking) -> TimeUseData | None:
    """Sum up where lanes × wall-clock seconds went.

    A run that was written before something was measured has it in the rest.
    """
    timeline = timeline_data(run, ranking)
    if timeline is None or run.lines.empty:
        return None
    last = run.lines.groupby("trial")[[*_INSIDE, "wall_seconds"]].last().fillna(0.0).sum()
    inside = {what: float(last[column]) for column, what in _INSIDE.items()}
    lanes = len(timeline.lanes)
    span = max(bar.end for bar in timeline.bars) - min(bar.start for bar in timeline.bars)
    occupied = sum(bar.end - bar.start for bar in timeline.bars)
    searched = max(run.manifest.seconds, span) + run.manifest.contention_seconds
    within = float(last["wall_seconds"] + last["setup_seconds"])
    between = sum(_between(timeline.bars))
    proposals = min(run.manifest.proposal_seconds, between)
    start = lanes * (run.manifest.start_seconds or 0.0)
    sharing = lanes * run.manifest.contention_seconds
    known = start + between + occupied + sharing
    return TimeUseData(
        {
            **inside,
            "the rest of a trial": max(within - sum(inside.values()), 0.0),
            "messages between a trial and the driver": max(occupied - within, 0.0),
            "turnover: from one trial to the next": between - proposals,
            "proposals": proposals,
            "start: Ray, and the first processes": start,
            "timing of what sharing costs": sharing,
            "idle: no trial in a lane": max(lanes * searched - known, 0.0),
        },
        lanes=lanes,
        searched=searched,
    )


_INSIDE = {
    "train_seconds": "training",
    "eval_seconds": "evaluation",
    "warmup_seconds": "warm-up",
    "checkpoint_seconds": "checkpoints",
    "setup_seconds": "imports and data",
}
"""Column of the report lines → what a trial did."""
_LONGEST_TURNOVER = 5.0
"""Seconds between two trials of a lane; a longer pause is an idle lane."""


def _between(bars: Sequence[Bar]) -> Iterator[float]:
    """Yield the seconds between neighbours in a lane."""
    ends: dict[int, float] = {}
    for bar in sorted(bars, key=lambda bar: bar.start):
        pause = bar.start - ends.get(bar.lane, bar.start)
        if 0 < pause <= _LONGEST_TURNOVER:
            yield pause
        ends[bar.lane] = bar.end


def plot_time_use(data: TimeUseData, ax: Axes) -> None:
    """Draw a bar for each use of time."""
    whole = sum(data.seconds.values()) or 1.0
    unit, name = _unit(max(data.seconds.values()))
    for place, seconds in enumerate(data.seconds.values()):
        ax.barh(place, seconds / unit, color=style.COLOURS[place % 7], height=0.7)
        ax.annotate(
            f" {seconds / whole:.1%}", (seconds / unit, place), va="center", fontsize=9,
            color=style.INK,
        )  # fmt: skip
    ax.set_yticks(range(len(data.seconds)), [_wrapped(what) for what in data.seconds], fontsize=9)
    ax.set_ylim(len(data.seconds) - 0.5, -0.5)
    ax.margins(x=0.1)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(f"time, summed over {pluralize(data.lanes, 'lane')} ({name})")
    training = data.seconds["training"] / whole
    ax.set_title(
        f"Where {data.lanes} × {data.searched:.0f} s went: {training:.0%} into training", loc="left"
    )


def _wrapped(what: str) -> str:
    head, colon, rest = what.partition(": ")
    return f"{head}\n({rest})" if colon else head
