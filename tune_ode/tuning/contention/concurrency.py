"""Who trains beside whom: how many trials shared a node, as a mean over time.

Between two reports of a trial its neighbours end and others begin; what their company cost it
follows from all of them, and not from those of the moment.
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
    """Its last report, or its start."""
    ended: float = math.inf
    node: str | None = None
    """Unknown until its first report; it may then be anywhere, and counts everywhere."""

    @property
    def goes_on(self) -> bool:
        return self.ended == math.inf


class ConcurrencyTracker:
    """The trials that run, and those that ended since the oldest report that still counts."""

    def __init__(self) -> None:
        self._running: dict[str, _Interval] = {}
        # by node, so that a report costs what its own node has, however large the cluster
        self._stays: defaultdict[str | None, list[_Interval]] = defaultdict(list)

    def begin(self, trial_id: str, now: float) -> None:
        """Take note that a trial starts."""
        stay = self._running[trial_id] = _Interval(started=now, reported=now)
        self._stays[None].append(stay)

    def end(self, trial_id: str, now: float) -> None:
        """Take note that a trial has ended, or was lost."""
        stay = self._running.pop(trial_id, None)
        if stay is not None:  # else it was waiting for a place
            stay.ended = now

    def on(self, node: str) -> int:
        """Return how many trials are on a node, those counted whose node is not known yet."""
        return sum(stay.goes_on for stay in self._near(node))

    def report(self, trial_id: str, node: str, now: float) -> float:
        """Return how many trials shared the node since a trial's last report, itself included.

        Args:
            trial_id: of a running trial, which reports now; without a beginning, it begins now.
            node: where it runs.
            now: in seconds, on the clock of `begin` and `end`.
        """
        if trial_id not in self._running:
            self.begin(trial_id, now)
        own = self._running[trial_id]
        if own.node != node:
            self._stays[own.node].remove(own)
            self._stays[node].append(own)
        since, own.reported, own.node = own.reported, now, node
        seconds = now - since
        if seconds <= 0:
            return float(self.on(node))
        shared = sum(
            min(stay.ended, now) - max(stay.started, since)
            for stay in self._near(node)
            if stay.ended > since
        )
        self._forget(node, self._near(node))
        self._forget(None, self._running.values())
        return shared / seconds

    def _near(self, node: str) -> Iterator[_Interval]:
        return chain(self._stays[None], self._stays[node])

    def _forget(self, node: str | None, witnesses: Iterable[_Interval]) -> None:
        """Drop the stays that ended before the last report of every trial they could matter to."""
        stays = self._stays[node]
        if all(stay.goes_on for stay in stays):
            return
        oldest = min((stay.reported for stay in witnesses if stay.goes_on), default=math.inf)
        self._stays[node] = [stay for stay in stays if stay.ended > oldest]
