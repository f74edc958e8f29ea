"""Runs a `Search` on Ray Tune.

Ray Tune schedules trials on CPUs and GPUs, reuses their processes and detects crashed ones. Its
experiment state and loggers are disabled or discarded: the run directory is the single source of
truth, and a resume starts a new Ray Tune experiment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

# first: it sets variables that Ray reads at import
from tune_ode.tuning.ray_backend.startup import started  # isort: skip

from ray import tune
from ray.exceptions import RayError
from ray.tune import TuneError
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from tune_ode.errors import RunFailed, TuneOdeError, first_line, redact
from tune_ode.machine.memory import oom_kills
from tune_ode.machine.resources import TrialResources
from tune_ode.tuning.ray_backend.actor_errors import crash_from, forwarded_to
from tune_ode.tuning.ray_backend.cluster import NodeProbe, alive_nodes, cluster_state
from tune_ode.tuning.ray_backend.gang import RayWorkerGroup, worker_groups
from tune_ode.tuning.ray_backend.trial_actor import TrialActor
from tune_ode.tuning.search.crashes import Crash
from tune_ode.tuning.search.search import Search
from tune_ode.worker.task import RunTrial, run_trial

_REFRESH_SECONDS = 5.0
"""Interval between checks of Ray's nodes."""
_MEMORY_SECONDS = 10.0
"""No trial starts for this long, times its crashes, after one was killed to free memory."""


class _Adapter(Searcher, Stopper):
    """Connects a `Search` to Ray Tune as its search algorithm and stopper.

    Ray calls a stopper with each result before it acts on it, and once per iteration of its loop.
    An asynchronous search needs no more than that, so there is no Ray scheduler.
    """

    def __init__(
        self,
        search: Search,
        resources: TrialResources,
        run_trial: RunTrial,
        tick: Callable[[], None],
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        super().__init__()
        self._search = search
        self._resources = resources
        self._slots = resources.max_concurrent
        self._run_trial = run_trial
        self._tick = tick
        self._say = say
        self._trial_ids: dict[str, str] = {}
        """Ray's trial id → ours."""
        self._nodes: dict[str, str] = {}
        """Our trial id → Ray's id of the node it runs on."""
        self._lost: dict[str, tuple[NodeProbe, Crash]] = {}
        """Our id of a crashed trial → a probe of its node, and the cause if the node is there."""
        self._next_refresh = 0.0
        self._missing: str | None = None
        """Resources that no node has."""
        self._error: Exception | None = None
        """Ray's last error, until the trial that it ends is known."""
        self._oom_kills = oom_kills()
        self._paused_until = 0.0
        self.failure: Exception | None = None
        """Error of the search itself; if raised here, Ray would wrap it."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        self._on_loop()  # without trials, as after the loss of a node, Ray calls only this method
        paused = time.monotonic() < self._paused_until and not self._search.should_stop()
        full = len(self._search.running) >= self._slots
        try:
            task = None if full or paused else self._search.next_task()
        except Exception as error:
            self._fail(error)
            return None
        if task is None:
            # FINISHED is final, but a running trial may crash and need a restart
            more = (full or paused or self._search.running) and not self._search.should_stop()
            return None if more else str(Searcher.FINISHED)
        self._trial_ids[trial_id] = task.trial_id
        return {"task": task.to_dict(), "run_trial": self._run_trial}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        try:
            result["recorded"] = []
            ours = self._trial_ids[trial_id]
            if "started" in result:
                self._nodes[ours] = result["started"]
                self._search.on_start(ours)
                return False
            if "report" in result:
                reports = self._search.running[ours].reports
                before = len(reports)
                keep = self._search.on_report(result.pop("report"))
                # Ray calls the callbacks next: they log only what the search recorded
                result["recorded"] = reports[before:]
                return not keep
            self._search.on_end(ours, result["end"])
            return bool(result["end"].process_usable)
        except Exception as error:
            self._fail(error)
        return True

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        ours = self._trial_ids.pop(trial_id)
        node = self._nodes.pop(ours, None)
        crash, self._error = crash_from(self._error), None
        if not error or ours not in self._search.running:
            return
        is_remote = self._resources.cluster.is_remote
        if not is_remote and self._oom_kills != (kills := oom_kills()):
            self._oom_kills = kills
            crash = Crash(short_of_memory=True)
        if node is None or not is_remote or crash.short_of_memory:
            self._on_worker_lost(ours, crash)
        else:
            self._lost[ours] = NodeProbe(node), crash

    def on_error(self, error: Exception) -> None:
        """Keep the error of a trial's process; Ray calls `on_trial_complete` next, without it."""
        self._error = error

    def _on_worker_lost(self, trial_id: str, crash: Crash) -> None:
        trial = self._search.running[trial_id]
        try:
            self._search.on_worker_lost(trial_id, crash)
        except Exception as failure:
            self._fail(failure)
        if crash.short_of_memory and self._search.stop_reason is None:
            # at once, the next process would meet the same shortage
            pause = _MEMORY_SECONDS * trial.crashes
            self._paused_until = time.monotonic() + pause
            restart = "" if trial_id in self._search.results else f"; it restarts in {pause:g} s"
            self._say(
                f"memory is short: the process of trial {trial_id} was killed to free some{restart}"
            )

    def stop_all(self) -> bool:
        self._on_loop()
        return self.failure is not None or self._search.should_stop()

    def _on_loop(self) -> None:
        self._tick()
        for trial_id, (probe, crash) in list(self._lost.items()):
            if (gone := probe.poll()) is not None:
                del self._lost[trial_id]
                self._on_worker_lost(trial_id, replace(crash, with_node=gone))
        if time.monotonic() >= self._next_refresh:
            self._next_refresh = time.monotonic() + _REFRESH_SECONDS
            self._refresh_nodes()
        paused = time.monotonic() < self._paused_until
        self._search.waiting = "memory, which is short" if paused else self._missing

    def _refresh_nodes(self) -> None:
        if not self._resources.cluster.is_remote:
            if not alive_nodes() and self._search.stop_reason is None:
                # Ray would wait forever to place the next trial
                self._fail(TuneOdeError(f"Ray's node died; {self._search.resume_hint}"))
            return
        cluster = cluster_state()
        self._slots = self._resources.concurrent_on(cluster)
        need = self._resources
        if any(n.fits(need.cpus_per_trial, need.gpus_per_trial) for n in cluster.nodes):
            self._missing = None
        else:
            self._missing = f"a node with {need.per_trial}; {cluster.inventory}"

    def _fail(self, error: Exception) -> None:
        if self.failure is None:
            self.failure = error
            self._search.stop(redact(str(error)))

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the run directory holds the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing."""

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        # Ray pickles this into its experiment state, which is never read
        return object, ()


def run_on_ray(
    search: Search,
    resources: TrialResources,
    *,
    run_trial: RunTrial = run_trial,
    after: Callable[[Callable[[], Sequence[RayWorkerGroup]]], None] = lambda groups: None,
    callbacks: Sequence[tune.Callback] = (),
    tick: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda text: None,
    verbose: bool = False,
) -> None:
    """Run a search to its end, on the cluster that was joined or on a new local Ray.

    Args:
        search: the search to run.
        resources: resources per trial and the cluster; nodes of a cluster may come and go.
        run_trial: runs in the trial processes; benchmarks pass one that returns at once.
        after: called after the last trial with a function that returns one worker group per type
            of node.
        callbacks: Ray Tune callbacks; `result["recorded"]` holds the reports that were recorded.
        tick: called several times per second.
        say: called with one line if memory is short.
        verbose: show Ray's own log output.

    Raises:
        TuneOdeError: the search itself failed, for example because the disk is full. Trials never
            raise.
        RunFailed: Ray failed.
    """
    adapter = _Adapter(search, resources, run_trial, tick, say)
    if search.should_stop():
        return
    with (
        started(resources, verbose=verbose) as scratch,
        forwarded_to(adapter.on_error),
    ):
        try:
            tune.run(
                TrialActor,
                search_alg=adapter,
                stop=adapter,
                num_samples=-1,
                resources_per_trial={
                    "cpu": resources.cpus_per_trial,
                    "gpu": resources.gpus_per_trial,
                },
                reuse_actors=True,
                callbacks=list(callbacks),
                storage_path=str(scratch),
                name="ray",
                verbose=2 if verbose else 0,
                # that of a notebook shows an empty table
                progress_reporter=tune.CLIReporter(),
                raise_on_failed_trial=False,
                trial_dirname_creator=lambda trial: trial.trial_id,
            )
        except (RayError, TuneError, RuntimeError) as error:
            # a system that ends all processes ends Ray's, too
            if adapter.failure is None and search.stop_reason is None:
                reason = f"Ray failed: {first_line(error)}; {search.resume_hint}"
                raise RunFailed(reason) from error
        if adapter.failure is not None:
            raise adapter.failure
        after(lambda: worker_groups(resources))
