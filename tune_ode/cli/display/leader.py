"""The best trial of a running search, by the criterion of its ranking."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.params import compact_params, varied_params

_MIN_SECONDS = 3.0
_MAX_DUTY = 0.02
"""Share of a core for ranking: 0.5 s of CPU at 1,000 trials, so once in 25 s."""


@dataclass(frozen=True)
class Standing:
    """The best trials of a running search."""

    sentences: list[str]
    """Name the best trial, one for each device."""
    params: str
    """Parameters of the first of them in which trials differ."""
    varied: frozenset[str]
    """Names of the parameters in which trials differ."""
    history: list[float]
    """Best value so far, by trial."""


class Leader:
    """Ranks the run directory in the background, as `tune-ode rank` does."""

    def __init__(self, run: Path) -> None:
        """Rank nothing yet; `run` is the run directory."""
        self._run = run
        self._thread: threading.Thread | None = None
        self._due = 0.0
        self.standing: Standing | None = None
        """None until the first ranking."""

    def poll(self) -> None:
        """Rank again in a thread, unless one runs or the last ranking was too recent."""
        if time.monotonic() >= self._due and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._try, daemon=True)
            self._thread.start()

    def refresh(self) -> None:
        """Rank now.

        Raises:
            RunFolderError: the run directory cannot be read.
        """
        # pandas takes half a second to import, which is not the cost of a ranking
        from analysis.load import load_run
        from analysis.ranking import best_by_trial, describe_best, rank

        began = time.thread_time()
        ranking = rank(load_run(self._run))
        varied = varied_params(list(ranking.table["params"]))
        best: Mapping[str, Any] = next((row["params"] for row in ranking.first_rows()), {})
        self.standing = Standing(
            sentences=describe_best(ranking, brief=True),
            params=compact_params({name: best[name] for name in varied if name in best}),
            varied=frozenset(varied),
            history=best_by_trial(ranking),
        )
        spent = time.thread_time() - began
        self._due = time.monotonic() + max(_MIN_SECONDS, spent * (1 / _MAX_DUTY - 1))

    def _try(self) -> None:
        self._due = time.monotonic() + _MIN_SECONDS
        with contextlib.suppress(Exception):  # whatever it is, the search does not depend on it
            self.refresh()
