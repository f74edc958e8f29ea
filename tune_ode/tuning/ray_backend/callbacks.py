"""Logs a search to TensorBoard, MLflow or Weights & Biases while Ray Tune runs it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

# first: it sets variables that Ray reads at import
import tune_ode.tuning.ray_backend.startup  # noqa: F401  # isort: skip

from ray.tune import Callback

from search_spaces import path_of
from tune_ode.errors import first_line
from tune_ode.records import Outcome, Report
from tune_ode.runs.folder import RunFolder
from tune_ode.tuning.log_to.clients import CLIENTS
from tune_ode.tuning.log_to.targets import LogTarget
from tune_ode.tuning.search.search import Search

_END_SECONDS = 60.0
"""How long the end of a search waits for pending log calls."""
_NO_METRICS = ("timestamp", "sequence", "schema_version")
_MEASURED = (Outcome.COMPLETED, Outcome.STOPPED)


def metrics(report: Report) -> dict[str, float]:
    """Return the numbers of a report by field name; null fields are left out."""
    return {
        name: value
        for name, value in report.to_json().items()
        if isinstance(value, int | float) and name not in _NO_METRICS
    }


def step(report: Report) -> int:
    """Return a report's position on the horizontal axis: milliseconds of training.

    Steps must be integers; milliseconds are comparable between trials and continue over restarts.
    """
    return round(1000 * report.train_seconds)


def params(searched: dict[str, Any]) -> dict[str, str | int | float | bool]:
    """Return searched values by dotted path; other values than numbers and text become text.

    The branch of a name (`optimizer.learning_rate@sgd`) is left out: a trial has only one, and
    MLflow rejects `@`.
    """
    return {
        path_of(name): value if isinstance(value, str | int | float | bool) else str(value)
        for name, value in searched.items()
    }


class AsyncLogger(Callback):
    """Logs a search to one target from a background thread.

    A slow or unreachable server delays neither trials nor the search. A client that raises is
    reported once, and the search continues without it. A trial that restarts after a crash is
    a new trial to Ray, but stays one trial in the log.
    """

    def __init__(
        self, target: LogTarget, search: Search, folder: RunFolder, say: Callable[[str], None]
    ) -> None:
        self._target = target
        self._search = search
        self._folder = folder
        self._say = say
        self._open: set[str] = set()
        self._calls: queue.SimpleQueue[tuple[str, *tuple[Any, ...]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def setup(self, *args: Any, **info: Any) -> None:
        """Start the thread."""
        self._thread.start()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Open a trial unless it is open, as after a crash."""
        trial_id = _id(trial)
        running = self._search.running.get(trial_id)
        if running is not None and trial_id not in self._open:
            self._open.add(trial_id)
            self._calls.put(("start", trial_id, params(running.spec.params)))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Log the reports that were recorded."""
        if (trial_id := _id(trial)) in self._open:
            for report in result.get("recorded", ()):
                self._calls.put(("report", trial_id, step(report), metrics(report)))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Close a trial that has ended; a crashed one that will restart stays open."""
        trial_id = _id(trial)
        result = self._search.results.get(trial_id)
        if result is not None and trial_id in self._open:
            self._open.remove(trial_id)
            self._calls.put(("end", trial_id, result.outcome not in _MEASURED))

    on_trial_error = on_trial_complete

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Close the open trials and wait for the thread."""
        for trial_id in sorted(self._open):
            self._calls.put(("end", trial_id, True))
        self._calls.put(None)
        self._thread.join(_END_SECONDS)
        if self._thread.is_alive():
            self._say(
                f"logging to {self._target} did not end within {_END_SECONDS:g} s; the last "
                "reports may be missing there, but not in the run directory"
            )

    def _work(self) -> None:
        try:
            client = CLIENTS[self._target.name](self._target, self._folder)
            while (call := self._calls.get()) is not None:
                method, *arguments = call
                getattr(client, method)(*arguments)
        except Exception as error:
            self._say(
                f"logging to {self._target} failed: {first_line(error)}; the search continues "
                "without it"
            )


def async_loggers(
    targets: Sequence[LogTarget], search: Search, folder: RunFolder, say: Callable[[str], None]
) -> list[Callback]:
    """Return a Ray Tune callback for each log target.

    Args:
        targets: where to log to.
        search: whose trials are logged.
        folder: its run directory.
        say: called from another thread with one line when a target fails.
    """
    return [AsyncLogger(target, search, folder, say) for target in targets]


def _id(trial: Any) -> str:
    return str(trial.config["task"]["trial_id"])
