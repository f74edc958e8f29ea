"""Passes a search on to Ray's logger callbacks: TensorBoard, MLflow, Weights & Biases.

Ray's callbacks expect a result to be a flat dict of numbers, and a Ray trial to be a trial; here a
result is a message, and a trial that goes on after its process died is another Ray trial. So each
callback is shown `LoggedTrial`s instead, which are equal over all attempts.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# what Ray reads when it is imported is set by `ray_engine`, which is imported before
from ray.tune import Callback
from ray.tune.logger import LoggerCallback, TBXLoggerCallback

from search_spaces import path_of
from tune_ode.errors import first_line
from tune_ode.records import Outcome, Report
from tune_ode.runs.folder import RunFolder
from tune_ode.tuning.ray_backend.log_targets import LogTarget
from tune_ode.tuning.search.search import Search

_STEP = "training_iteration"
"""What Ray's callbacks take for the horizontal axis."""
_END_SECONDS = 60.0
"""So long the end of a search waits for what is still to be written or sent."""
_NO_METRICS = ("timestamp", "schema_version")
_MEASURED = (Outcome.COMPLETED, Outcome.STOPPED)


@dataclass(frozen=True)
class LoggedTrial:
    """A trial of the search as Ray's logger callbacks see one."""

    name: str
    """Its id in the run: `0001`."""
    trial_id: str = field(compare=False)
    """Its id among the trials of all runs."""
    config: dict[str, Any] = field(compare=False)
    """Searched values by dotted path."""
    local_path: str = field(compare=False)
    experiment_dir_name: str = field(compare=False)
    """The run's name."""

    @property
    def evaluated_params(self) -> dict[str, Any]:
        """Searched values by dotted path."""
        return self.config

    def init_local_path(self) -> None:
        """Make its folder."""
        Path(self.local_path).mkdir(parents=True, exist_ok=True)

    def __str__(self) -> str:
        return self.name


def metrics(line: Report) -> dict[str, float]:
    """Return what a report line measured, by the names of `records`; what is null is left out."""
    values = line.to_json().items()
    return {
        name: value
        for name, value in values
        if isinstance(value, int | float) and name not in _NO_METRICS
    }


def step(line: Report) -> int:
    """Return where a line stands on the horizontal axis: milliseconds of training.

    Steps are whole numbers; these are the same for all trials, and go on over a trial's restarts.
    """
    return round(1000 * line.train_seconds)


def params(searched: dict[str, Any]) -> dict[str, str | int | float | bool]:
    """Return searched values by dotted path; what is no number or text becomes text.

    A branch is left out of a name (`optimizer.learning_rate@sgd`): a trial has one of them, and
    MLflow takes no @.
    """
    return {
        path_of(name): value if isinstance(value, str | int | float | bool) else str(value)
        for name, value in searched.items()
    }


class AsyncLogger(Callback):
    """Passes a search on to one of Ray's logger callbacks, in a thread of its own.

    A tracking server that is slow, or gone, keeps neither the trials nor the search waiting; one
    that fails is told of once and left out from then on.
    """

    def __init__(
        self,
        destination: LogTarget,
        search: Search,
        folder: RunFolder,
        tell: Callable[[str], None],
    ) -> None:
        self._destination = destination
        self._search = search
        self._folder = folder
        self._tell = tell
        self._open: dict[str, LoggedTrial] = {}
        self._calls: queue.SimpleQueue[tuple[str, Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def setup(self, *args: Any, **info: Any) -> None:
        """Begin."""
        self._thread.start()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Open a trial; one whose process died is still open."""
        trial_id = _id(trial)
        running = self._search.running.get(trial_id)
        if running is None or trial_id in self._open:
            return
        logged = LoggedTrial(
            name=trial_id,
            trial_id=f"{_run_id(self._folder)}-{trial_id}",
            config=params(running.spec.params),
            local_path=str(self._destination.place(self._folder.path) / trial_id),
            experiment_dir_name=self._folder.manifest.name,
        )
        self._open[trial_id] = logged
        self._calls.put(("log_trial_start", (logged,)))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Pass on the lines that were written down."""
        if (logged := self._open.get(_id(trial))) is None:
            return
        for line in result.get("written", ()):
            flat = {**metrics(line), _STEP: step(line)}
            self._calls.put(("log_trial_result", (iteration, logged, flat)))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Close a trial that has ended; one that goes on stays open."""
        trial_id = _id(trial)
        outcome = self._search.results.get(trial_id)
        if outcome is not None and (logged := self._open.pop(trial_id, None)) is not None:
            failed = outcome.outcome not in _MEASURED
            self._calls.put(("log_trial_end", (logged, failed)))

    on_trial_error = on_trial_complete

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Close what is open, and wait for it."""
        for logged in self._open.values():
            self._calls.put(("log_trial_end", (logged, True)))
        self._calls.put(None)
        self._thread.join(_END_SECONDS)
        if self._thread.is_alive():
            self._tell(
                f"logging to {self._destination} did not end within {_END_SECONDS:g} s; what it "
                "was told last may be missing there, the run folder has it all"
            )

    def _work(self) -> None:
        try:
            logger = _LOGGERS[self._destination.name](self._destination, self._folder)
            logger.setup()
            while (call := self._calls.get()) is not None:
                method, arguments = call
                getattr(logger, method)(*arguments)
            logger.on_experiment_end([])
        except Exception as error:
            said = first_line(error)
            self._tell(
                f"logging to {self._destination} failed: {said}; the search goes on without it"
            )


def async_loggers(
    destinations: Sequence[LogTarget],
    search: Search,
    folder: RunFolder,
    tell: Callable[[str], None],
) -> list[Callback]:
    """Return a callback of Ray Tune for each destination.

    Args:
        destinations: where to.
        search: whose trials are logged.
        folder: of its run.
        tell: told in one line when a destination fails; from another thread.
    """
    return [AsyncLogger(destination, search, folder, tell) for destination in destinations]


def _id(trial: Any) -> str:
    return str(trial.config["task"]["trial_id"])


def _run_id(folder: RunFolder) -> str:
    # a server is shared by many, and `--name run` is soon given twice
    return f"{folder.manifest.name}-{folder.manifest.created:.0f}"


def _tensorboard(destination: LogTarget, folder: RunFolder) -> LoggerCallback:
    return TBXLoggerCallback()  # type: ignore[no-untyped-call]


def _mlflow(destination: LogTarget, folder: RunFolder) -> LoggerCallback:
    # read when it is imported, which takes seconds: it counts its users unless told not to
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # a quarter of a minute; by its default of 7 a server that has gone is told of after minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    from mlflow.entities import Metric
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

    class MLflowLog(MLflowLoggerCallback):
        """Ray's, which goes on with the runs of a search that is resumed."""

        def log_trial_start(self, trial: Any) -> None:
            ours = f"tags.tune_ode_run = '{_run_id(folder)}' and tags.trial_name = '{trial}'"
            client, experiment = self.mlflow_util._get_client(), self.mlflow_util.experiment_id
            for earlier in client.search_runs([experiment], ours, max_results=1):
                self._trial_runs[trial] = earlier.info.run_id
                client.update_run(earlier.info.run_id, status="RUNNING")
            super().log_trial_start(trial)

        def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
            # at one go: Ray's sends each number by itself, after asking whether there is the run
            at, now = result.pop(_STEP), int(1000 * time.time())
            measured = [Metric(name, value, now, at) for name, value in result.items()]
            client = self.mlflow_util._get_client()
            client.log_batch(self._trial_runs[trial], metrics=measured)

    return MLflowLog(
        destination.target or f"sqlite:///{destination.place(folder.path)}",
        experiment_name=folder.manifest.name,
        tags={"tune_ode_run": _run_id(folder)},
    )


def _wandb(destination: LogTarget, folder: RunFolder) -> LoggerCallback:
    # its lines would get into the panel; read by `setup`
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb
    from ray.air.integrations.wandb import WandbLoggerCallback

    wandb.setup()

    class WandbLog(WandbLoggerCallback):
        """Ray's, without the two processes that it starts for each trial.

        They would take the CPU from the trials, and what goes wrong in them is not told.
        """

        def setup(self, *args: Any, **kwargs: Any) -> None:
            super().setup()  # type: ignore[no-untyped-call]
            self._runs: dict[Any, wandb.Run] = {}

        def _start_logging_actor(self, trial: Any, exclude_results: Any, **options: Any) -> None:
            self._runs[trial] = wandb.init(**options)

        def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
            self._runs[trial].log(result, step=result.pop(_STEP))

        def log_trial_end(self, trial: Any, failed: bool = False) -> None:
            self._runs.pop(trial).finish(exit_code=int(failed))

        def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
            pass

    return WandbLog(
        project=destination.target or "tune-ode",
        group=folder.manifest.name,
        dir=str(folder.path),
        resume="allow",
        # several at once in this process, whose output is not theirs
        reinit="create_new",
        settings=wandb.Settings(console="off", x_disable_stats=True),
    )


_LOGGERS = {"tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb}
