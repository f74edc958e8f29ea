"""Runs a `Search` on Ray Tune: the adapters between the two, and nothing else.

Ray Tune places trials on the machine's resources, keeps their processes for the next trial and
tells of processes that die. Its experiment state and loggers are switched off or thrown away: the
run folder is what counts, and a resume starts Ray anew.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

# read by ray when it is imported
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C is the search's: it stops in order
os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "inf"  # nobody reads its snapshots, and they grow
os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the new one prints a table even when told to be silent
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else ray warns of this default

import ray
from ray import tune
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from tune_ode.errors import TuneOdeError
from tune_ode.records import ReportLine
from tune_ode.tuning.resources import Resources
from tune_ode.tuning.search import Search
from tune_ode.tuning.task import STOP_POLL_SECONDS, Answer, Message, Task
from tune_ode.tuning.task import answer as train
from tune_ode.tuning.trial_store import stop_sign
from tune_ode.tuning.watchdog import Watchdog

_GRACE_SECONDS = 4.0
"""A process whose batch does not end that long after a stop ends itself."""
_LOOK_SECONDS = 5.0
"""Between two looks whether Ray still has a node."""
_OBJECT_STORE_BYTES = 100 * 2**20
"""Only small messages pass through Ray's object store; its default takes a third of the memory."""


class TrialActor(tune.Trainable):
    """The process that trains: one message a step, reused from trial to trial."""

    def setup(self, config: dict[str, Any]) -> None:
        """Take the first task."""
        self._take(config)
        threading.Thread(target=self._leave_when_told, daemon=True).start()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next task."""
        self.cleanup()
        self._take(new_config)
        return True

    def _take(self, config: dict[str, Any]) -> None:
        self._task = Task(**config["task"])
        self._watchdog: Watchdog | None = None
        self._told_to_stop = stop_sign(self._task.run_folder)
        self._messages: Iterator[Message] = config["answer"](self._task)

    def _leave_when_told(self) -> None:
        # a training saves its state and ends after the batch it is in; one whose batch takes
        # longer than this would keep Ctrl-C waiting, and loses what came after its last report
        told = math.inf
        while time.monotonic() - told < _GRACE_SECONDS:
            time.sleep(STOP_POLL_SECONDS)
            told = min(told, time.monotonic()) if self._told_to_stop() else math.inf
        os._exit(1)

    def step(self) -> dict[str, Any]:
        """Train up to the next message."""
        if self._watchdog is None:
            # only now: Ray may give a trial to a process that has become free while a new one
            # starts for it; the spare takes the task too, and must not touch the trial's files
            self._watchdog = Watchdog(self._task.folder, self._task.silence_seconds)
        with self._watchdog.watching():
            message = next(self._messages)
        if isinstance(message, ReportLine):
            return {"line": message}
        return {"ending": message, "done": True}

    def cleanup(self) -> None:
        """Leave a trial that was stopped."""
        if self._watchdog is None:
            return  # it never began
        with self._watchdog.watching():
            self._messages.close()  # type: ignore[attr-defined]
        self._watchdog.close()


class _Adapter(Searcher, Stopper):
    """The search as Ray Tune sees it: it suggests tasks, and as a stopper gets every message.

    A stopper is asked about each result before Ray acts on it, and about the whole experiment at
    every turn of Ray's loop; that is all an asynchronous search needs, so there is no scheduler.
    """

    def __init__(self, search: Search, answer: Answer, tick: Callable[[], None]) -> None:
        super().__init__()
        self._search = search
        self._answer = answer
        self._tick = tick
        self._trial_ids: dict[str, str] = {}
        self._next_look = 0.0
        self.failure: Exception | None = None
        """What went wrong in the search itself; Ray would wrap it in an error of its own."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        try:
            task = self._search.next_task()
        except Exception as error:
            self._fail(error)
            return None
        if task is None:
            # finished is final, but a process that dies leaves a trial to be taken up again
            may_go_on = self._search.running and not self._search.over()
            return None if may_go_on else str(Searcher.FINISHED)
        self._trial_ids[trial_id] = task.trial_id
        return {"task": task.to_dict(), "answer": self._answer}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        try:
            if "line" in result:
                line = result.pop("line")
                lines = self._search.running[line.trial_id].lines
                before = len(lines)
                goes_on = self._search.report(line)
                # for the callbacks, which are told next: as written down, if it was
                result["written"] = lines[before:]
                return not goes_on
            self._search.end(self._trial_ids[trial_id], result["ending"])
        except Exception as error:
            self._fail(error)
        return True

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        ours = self._trial_ids.pop(trial_id)
        if error and ours in self._search.running:
            try:
                self._search.lose(ours)
            except Exception as failure:
                self._fail(failure)

    def stop_all(self) -> bool:
        self._tick()
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_SECONDS
            if not any(node["Alive"] for node in ray.nodes()):  # type: ignore[no-untyped-call]
                # Ray would wait for ever for a place to put the next trial
                self._fail(TuneOdeError(f"Ray's node died; {self._search.how_to_go_on}"))
        return self.failure is not None or self._search.over()

    def _fail(self, error: Exception) -> None:
        if self.failure is None:
            self.failure = error
            self._search.stop(str(error))

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the run folder has it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        # Ray pickles its parts into its experiment state, which nothing here ever reads
        return object, ()


def run_on_ray(
    search: Search,
    resources: Resources,
    *,
    answer: Answer = train,
    callbacks: Sequence[tune.Callback] = (),
    tick: Callable[[], None] = lambda: None,
    verbose: bool = False,
) -> None:
    """Run a search to its end on a Ray instance of this machine, started and stopped here.

    Args:
        search: what to try, and what to do with the results.
        resources: of the machine and of each trial.
        answer: what the trials' processes do; a benchmark's answers at once.
        callbacks: Ray Tune's; a result holds the lines that were written down, as `written`.
        tick: called several times a second.
        verbose: let Ray speak.

    Raises:
        TuneOdeError: the search itself failed, as when the disk is full; trials never raise.
    """
    adapter = _Adapter(search, answer, tick)
    with _ray(resources, verbose), tempfile.TemporaryDirectory(prefix="tune-ode-ray-") as scratch:
        tune.run(
            TrialActor,
            search_alg=adapter,
            stop=adapter,
            num_samples=-1,
            resources_per_trial={
                "cpu": resources.cpus_per_trial,
                "gpu": resources.gpus_per_trial,
            },
            max_concurrent_trials=resources.max_concurrent,
            reuse_actors=True,
            callbacks=list(callbacks),
            storage_path=scratch,
            name="ray",
            verbose=2 if verbose else 0,
            raise_on_failed_trial=False,
            trial_dirname_creator=lambda trial: trial.trial_id,
        )
    if adapter.failure is not None:
        raise adapter.failure


@contextlib.contextmanager
def _ray(resources: Resources, verbose: bool) -> Iterator[None]:
    quiet = logging.WARNING if verbose else logging.CRITICAL
    logging.getLogger("ray.tune").setLevel(quiet)
    if not verbose:
        _silence_raylet()
    try:
        _start_ray(resources, verbose, quiet)
    except Exception as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TuneOdeError(
            f"Ray could not be started: {first_line}; --verbose tells more"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _silence_raylet() -> None:
    # Ray prints what becomes of its workers whatever `log_to_driver` says, over the live panel; the
    # search tells of a process that died by the trial's outcome. There is no option for it.
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda data, ignore_prefix: None


def _start_ray(resources: Resources, verbose: bool, level: int) -> None:
    ray.init(
        # never join a cluster by accident: one that died leaves its address behind
        address="local",
        num_cpus=resources.cpus,
        num_gpus=resources.gpus,
        include_dashboard=False,
        log_to_driver=verbose,
        logging_level=level,
        object_store_memory=_OBJECT_STORE_BYTES,
    )
