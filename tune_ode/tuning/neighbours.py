"""Who trains beside whom: how many trials shared a node, as a mean over time.

Between two reports of a trial its neighbours end and others begin; what their company cost it
follows from all of them, and not from those of the moment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class _Stay:
    """A trial on a node, from its start to its end."""

    started: float
    reported: float
    """Its last report, or its start."""
    ended: float = math.inf
    node: str | None = None
    """Unknown until its first report; it may then be anywhere, and counts everywhere."""


class Neighbours:
    """The trials that run, and those that ended since the oldest report that still counts."""

    def __init__(self) -> None:
        self._running: dict[str, _Stay] = {}
        self._ended: list[_Stay] = []

    def begin(self, trial_id: str, now: float) -> None:
        """Take note that a trial starts."""
        self._running[trial_id] = _Stay(started=now, reported=now)

    def end(self, trial_id: str, now: float) -> None:
        """Take note that a trial has ended, or was lost."""
        stay = self._running.pop(trial_id, None)
        if stay is None:
            return  # it was waiting for a place
        stay.ended = now
        self._ended.append(stay)

    def on(self, node: str) -> int:
        """Return how many trials are on a node, those counted whose node is not known yet."""
        return sum(stay.node in (None, node) for stay in self._running.values())

    def report(self, trial_id: str, node: str, now: float) -> float:
        """Return how many trials shared the node since a trial's last report, itself included.

        Args:
            trial_id: of a running trial, which reports now; without a beginning, it begins now.
            node: where it runs.
            now: in seconds, on the clock of `begin` and `end`.
        """
        own = self._running.setdefault(trial_id, _Stay(started=now, reported=now))
        since, own.reported, own.node = own.reported, now, node
        seconds = now - since
        if seconds <= 0:
            return float(self.on(node))
        shared = sum(
            min(stay.ended, now) - max(stay.started, since)
            for stay in (*self._running.values(), *self._ended)
            if stay.node in (None, node) and stay.ended > since
        )
        oldest = min(stay.reported for stay in self._running.values())
        self._ended = [stay for stay in self._ended if stay.ended > oldest]
        return shared / seconds
