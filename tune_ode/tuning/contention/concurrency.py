"""How many trials share a node, as a mean over time.

Other trials start and end between two reports of a trial. Contention depends on every overlapping
trial, not only on those at the instant of a report.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain


@dataclass(eq=False)
class _Interval:
    """A trial on a node, from its start to its end."""

    started: float
    reported: float
    """Time of its last report, or its start."""
    ended: float = math.inf
    node: str | None = None
    """Unknown until its first report; until then the trial counts on every node."""

    @property
    def is_running(self) -> bool:
        return self.ended == math.inf


class ConcurrencyTracker:
    """Running trials, and those that ended after the last report of a trial they overlap."""

    def __init__(self) -> None:
        self._running: dict[str, _Interval] = {}
        # by node, so that the cost of a report does not grow with the cluster
        self._intervals: defaultdict[str | None, list[_Interval]] = defaultdict(list)

    def start(self, trial_id: str, now: float) -> None:
        """Record that a trial starts."""
        interval = self._running[trial_id] = _Interval(started=now, reported=now)
        self._intervals[None].append(interval)

    def end(self, trial_id: str, now: float) -> None:
        """Record that a trial has ended or crashed; one that never started is ignored."""
        if (interval := self._running.pop(trial_id, None)) is not None:
            interval.ended = now

    def count(self, node: str) -> int:
        """Return the number of trials running on a node, or on an unknown one."""
        return sum(interval.is_running for interval in self._on(node))

    def report(self, trial_id: str, node: str, now: float) -> float:
        """Return the mean number of trials on the node since the trial's last report, with itself.

        Args:
            trial_id: the reporting trial; it starts now if it was not started.
            node: where it runs.
            now: seconds, on the clock of `start` and `end`.
        """
        if trial_id not in self._running:
            self.start(trial_id, now)
        own = self._running[trial_id]
        if own.node != node:
            self._intervals[own.node].remove(own)
            self._intervals[node].append(own)
        since, own.reported, own.node = own.reported, now, node
        seconds = now - since
        if seconds <= 0:
            return float(self.count(node))
        shared = sum(
            min(interval.ended, now) - max(interval.started, since)
            for interval in self._on(node)
            if interval.ended > since
        )
        self._forget(node, self._on(node))
        self._forget(None, self._running.values())
        return shared / seconds

    def _on(self, node: str) -> Iterator[_Interval]:
        return chain(self._intervals[None], self._intervals[node])

    def _forget(self, node: str | None, reporting: Iterable[_Interval]) -> None:
        """Drop intervals that no running trial in `reporting` overlaps since its last report."""
        intervals = self._intervals[node]
        if all(interval.is_running for interval in intervals):
            return
        oldest = min((one.reported for one in reporting if one.is_running), default=math.inf)
        self._intervals[node] = [interval for interval in intervals if interval.ended > oldest]
