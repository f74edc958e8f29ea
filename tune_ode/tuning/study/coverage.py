"""Which points of a space a search has tried, and which are left if they can be listed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from search_spaces import Space
from search_spaces.enumeration import (
    Point,
    PointKey,
    continuous_parameters,
    count_points,
    point_key,
    points,
)
from tune_ode.text import pluralize

MAX_LISTED = 10_000
"""Largest space whose points are listed; in a larger one, random proposals find untried points."""

MAX_REPEATS = 10
"""Consecutive proposals of tried points, after which untried points are drawn at random."""
MAX_PROPOSALS = 100
"""Consecutive proposals of tried points, after which no untried one is expected."""


class Coverage:
    """The tried points of a space."""

    def __init__(self, space: Space, tried: Iterable[Mapping[str, Any]] = ()) -> None:
        """Start with the tried points; fixed values do not count."""
        self._space = space
        self._count = count_points(space)
        self._tried = {point_key(params) for params in tried}
        self._untried: dict[PointKey, Point] | None = None

    @property
    def exhausted(self) -> str | None:
        """A sentence if every point was tried, or None."""
        if len(self._tried) < self._count:
            return None
        return f"the space is exhausted after {pluralize(len(self._tried), 'point')}"

    def add(self, params: Mapping[str, Any]) -> bool:
        """Add a point; return whether it is new."""
        key = point_key(params)
        if key in self._tried:
            return False
        self._tried.add(key)
        if self._untried is not None:
            self._untried.pop(key, None)
        return True

    def draw_untried(self, seed: int) -> Point | None:
        """Return a random untried point; None if there is none or too many points to list."""
        if self._count > MAX_LISTED:
            return None
        if self._untried is None:
            every = {point_key(point): point for point in points(self._space)}
            self._untried = {key: p for key, p in every.items() if key not in self._tried}
        left = list(self._untried.values())
        return left[int(np.random.default_rng(seed).integers(len(left)))] if left else None


def grid_problem(space: Space) -> str | None:
    """Return why `--sampler grid` cannot search a space, or None."""
    if continuous := continuous_parameters(space):
        are = "is" if len(continuous) == 1 else "are"
        return f"needs a finite space, and {', '.join(continuous)} {are} continuous"
    if (count := count_points(space)) > MAX_LISTED:
        return f"needs a space of at most {MAX_LISTED:,} points, found {count:,.0f}"
    return None


def note_on_points(space: Space, trials: int | None) -> list[str]:
    """Return a note if a search of that many trials may exhaust the space."""
    count = count_points(space)
    if count > MAX_LISTED or (trials is not None and count >= trials):
        return []
    points = pluralize(int(count), "point")
    return [f"the space has {points}; the search ends when each was tried"]
