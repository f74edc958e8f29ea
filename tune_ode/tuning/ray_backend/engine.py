"""Runs a `Search` on Ray Tune: the adapters between the two, and nothing else.

Ray Tune places trials on the machine's resources, keeps their processes for the next trial and
tells of processes that die. Its experiment state and loggers are switched off or thrown away: the
run folder is what counts, and a resume starts Ray anew.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

# first: it sets what Ray reads when it is imported
from tune_ode.tuning.ray_backend.startup import started  # isort: skip

from ray import tune
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from tune_ode.errors import TuneOdeError
from tune_ode.machine.resources import TrialResources
from tune_ode.tuning.ray_backend.cluster import NodeProbe, alive_nodes, cluster_state
from tune_ode.tuning.ray_backend.gang import RayWorkerGroup, worker_groups
from tune_ode.tuning.ray_backend.trial_actor import TrialActor
from tune_ode.tuning.search.search import Search
from tune_ode.worker.task import RunTrial
from tune_ode.worker.task import run_trial as train

_LOOK_SECONDS = 5.0
"""Between two looks whether Ray still has a node."""


class _Adapter(Searcher, Stopper):
    """The search as Ray Tune sees it: it suggests tasks, and as a stopper gets every message.

    A stopper is asked about each result before Ray acts on it, and about the whole experiment at
    every turn of Ray's loop; that is all an asynchronous search needs, so there is no scheduler.
    """

    def __init__(
        self, search: Search, resources: TrialResources, answer: RunTrial, tick: Callable[[], None]
    ) -> None:
        super().__init__()
        self._search = search
        self._resources = resources
        self._slots = resources.max_concurrent
        self._answer = answer
        self._tick = tick
        self._trial_ids: dict[str, str] = {}
        """Ray's id of a trial → ours."""
        self._nodes: dict[str, str] = {}
        """Our id of a trial → Ray's of the node that it runs on."""
        self._lost: dict[str, NodeProbe] = {}
        """Our id of a trial whose process died → whether its node went with it."""
        self._next_look = 0.0
        self.failure: Exception | None = None
        """What went wrong in the search itself; Ray would wrap it in an error of its own."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        self._on_loop()  # Ray asks this alone while it has no trial, as when a node has gone
        full = len(self._search.running) >= self._slots
        try:
            task = None if full else self._search.next_task()
        except Exception as error:
            self._fail(error)
            return None
        if task is None:
            # finished is final, but a process that dies leaves a trial to be taken up again
            may_go_on = (full or self._search.running) and not self._search.should_stop()
            return None if may_go_on else str(Searcher.FINISHED)
        self._trial_ids[trial_id] = task.trial_id
        return {"task": task.to_dict(), "answer": self._answer}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        try:
            result["written"] = []
            if "begun" in result:
                ours = self._trial_ids[trial_id]
                self._nodes[ours] = result["begun"]
                self._search.on_start(ours)
                return False
            if "line" in result:
                line = result.pop("line")
                lines = self._search.running[line.trial_id].reports
                before = len(lines)
                goes_on = self._search.on_report(line)
                # for the callbacks, which are told next: as written down, if it was
                result["written"] = lines[before:]
                return not goes_on
            self._search.on_end(self._trial_ids[trial_id], result["ending"])
        except Exception as error:
            self._fail(error)
        return True

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        ours = self._trial_ids.pop(trial_id)
        node = self._nodes.pop(ours, None)
        if not error or ours not in self._search.running:
            return
        if node is None or not self._resources.cluster.is_remote:
            self._on_worker_lost(ours, with_node=False)
        else:
            self._lost[ours] = NodeProbe(node)

    def _on_worker_lost(self, trial_id: str, *, with_node: bool) -> None:
        try:
            self._search.on_worker_lost(trial_id, with_node=with_node)
        except Exception as failure:
            self._fail(failure)

    def stop_all(self) -> bool:
        self._on_loop()
        return self.failure is not None or self._search.should_stop()

    def _on_loop(self) -> None:
        self._tick()
        for trial_id, absence in list(self._lost.items()):
            if (gone := absence.poll()) is not None:
                del self._lost[trial_id]
                self._on_worker_lost(trial_id, with_node=gone)
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_SECONDS
            self._refresh_nodes()

    def _refresh_nodes(self) -> None:
        """See which nodes are there."""
        if not self._resources.cluster.is_remote:
            if not alive_nodes():
                # Ray would wait for ever for a place to put the next trial
                self._fail(TuneOdeError(f"Ray's node died; {self._search.resume_hint}"))
            return
        place = cluster_state()
        self._slots = self._resources.concurrent_on(place)
        need = self._resources
        nowhere = not any(n.fits(need.cpus_per_trial, need.gpus_per_trial) for n in place.nodes)
        self._search.waiting = f"a node with {need.need}; {place.inventory}" if nowhere else None

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
    resources: TrialResources,
    *,
    answer: RunTrial = train,
    after: Callable[[Callable[[], Sequence[RayWorkerGroup]]], None] = lambda rooms: None,
    callbacks: Sequence[tune.Callback] = (),
    tick: Callable[[], None] = lambda: None,
    verbose: bool = False,
) -> None:
    """Run a search to its end: on the cluster that was joined, or on a Ray of this machine.

    Args:
        search: what to try, and what to do with the results.
        resources: of each trial, and the place that has them; of a cluster nodes may come and go.
        answer: what the trials' processes do; a benchmark's answers at once.
        after: called behind the last trial, with what finds a node of each kind to try out.
        callbacks: Ray Tune's; a result holds the lines that were written down, as `written`.
        tick: called several times a second.
        verbose: let Ray speak.

    Raises:
        TuneOdeError: the search itself failed, as when the disk is full; trials never raise.
    """
    adapter = _Adapter(search, resources, answer, tick)
    with (
        started(resources, verbose=verbose),
        tempfile.TemporaryDirectory(prefix="tune-ode-ray-") as scratch,
    ):
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
            storage_path=scratch,
            name="ray",
            verbose=2 if verbose else 0,
            raise_on_failed_trial=False,
            trial_dirname_creator=lambda trial: trial.trial_id,
        )
        if adapter.failure is not None:
            raise adapter.failure
        after(lambda: worker_groups(resources))
