"""Runs a `Search` on Ray Tune: the adapters between the two, and nothing else.

Ray Tune places trials on the machine's resources, keeps their processes for the next trial and
tells of processes that die. Its experiment state and loggers are switched off or thrown away: the
run folder is what counts, and a resume starts Ray anew.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

# read by ray when it is imported
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C is the search's: it stops in order
os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray import tune
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from tune_ode.records import Outcome, ReportLine
from tune_ode.tuning.resources import Resources
from tune_ode.tuning.search import Search
from tune_ode.tuning.task import Ending, Message, Task, answer

_OBJECT_STORE_BYTES = 100 * 2**20
"""Only small messages pass through Ray's object store; its default takes a third of the memory."""


class TrialActor(tune.Trainable):
    """The process that trains: one message a step, reused from trial to trial."""

    def setup(self, config: dict[str, Any]) -> None:
        """Take the first task."""
        self._messages: Iterator[Message] = answer(Task(**config["task"]))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next task."""
        self.cleanup()
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train up to the next message."""
        message = next(self._messages)
        if isinstance(message, ReportLine):
            return {"line": message}
        return {"ending": message, "done": True}

    def cleanup(self) -> None:
        """Leave a trial that was stopped."""
        self._messages.close()  # type: ignore[attr-defined]


class _SearchAsSearcher(Searcher):
    """Hands out the search's tasks and hears of processes that died."""

    def __init__(self, search: Search) -> None:
        super().__init__(metric="unused", mode="max")
        self._search = search
        self._trial_ids: dict[str, str] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str:  # type: ignore[override]
        task = self._search.next_task()
        if task is None:
            return str(Searcher.FINISHED)
        self._trial_ids[trial_id] = task.trial_id
        return {"task": task.to_dict()}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        ours = self._trial_ids.pop(trial_id)
        if error and ours in self._search.running:
            self._search.end(
                ours,
                Ending(
                    outcome=Outcome.FAILED,
                    reason="its process died (killed, or out of the machine's memory)",
                ),
            )

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the run folder has it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class _SearchAsStopper(Stopper):
    """Passes every message to the search, which decides who stops."""

    def __init__(self, search: Search) -> None:
        self._search = search

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        if "line" in result:
            return not self._search.report(result["line"])
        ending: Ending = result["ending"]
        self._search.end(result["config"]["task"]["trial_id"], ending)
        return True

    def stop_all(self) -> bool:
        return self._search.over()


class _Tick(tune.Callback):
    """Gives the display a turn after every event."""

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._tick()


def run_on_ray(
    search: Search,
    resources: Resources,
    *,
    tick: Callable[[], None] = lambda: None,
    verbose: bool = False,
) -> None:
    """Run a search to its end on a Ray instance of this machine, started and stopped here.

    Args:
        search: what to try, and what to do with the results.
        resources: of the machine and of each trial.
        tick: called after every event, at least several times a second.
        verbose: let Ray speak.
    """
    with _ray(resources, verbose), tempfile.TemporaryDirectory(prefix="tune-ode-ray-") as scratch:
        tune.run(
            TrialActor,
            search_alg=_SearchAsSearcher(search),
            stop=_SearchAsStopper(search),
            num_samples=-1,
            resources_per_trial={
                "cpu": resources.cpus_per_trial,
                "gpu": resources.gpus_per_trial,
            },
            max_concurrent_trials=resources.max_concurrent,
            reuse_actors=True,
            storage_path=scratch,
            name="ray",
            callbacks=[_Tick(tick)],
            verbose=2 if verbose else 0,
            raise_on_failed_trial=False,
            trial_dirname_creator=lambda trial: trial.trial_id,
        )


@contextlib.contextmanager
def _ray(resources: Resources, verbose: bool) -> Iterator[None]:
    quiet = logging.WARNING if verbose else logging.CRITICAL
    logging.getLogger("ray.tune").setLevel(quiet)
    ray.init(
        # never join a cluster by accident: one that died leaves its address behind
        address="local",
        num_cpus=resources.cpus,
        num_gpus=resources.gpus,
        include_dashboard=False,
        log_to_driver=verbose,
        logging_level=quiet,
        object_store_memory=_OBJECT_STORE_BYTES,
    )
    try:
        yield
    finally:
        ray.shutdown()
