"""List the nodes of a Ray cluster, and check that trials can run on them."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

# first: it sets variables that Ray reads at import
import tune_ode.tuning.ray_backend.startup  # noqa: F401  # isort: skip

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_ode.config import DataConfig, TrialConfig
from tune_ode.data import Fingerprint, load, require_unchanged
from tune_ode.errors import TuneOdeError, UsageError, first_line
from tune_ode.machine.gpu_packing import MemoryPeak, peak_memory
from tune_ode.machine.resources import Cluster, Node, TrialResources
from tune_ode.paths import RunPath, run_path
from tune_ode.paths import address as address_of
from tune_ode.version import __version__

_PROBE_SECONDS = 600.0
"""A node may download the data set first."""
_SAME_CODE = "install the same version there, or submit the search with: tune-ode submit"


# --- nodes --------------------------------------------------------------------------------------


def cluster_state(*, is_borrowed: bool = False) -> Cluster:
    """Return the live nodes, and those that an autoscaler could add.

    Args:
        is_borrowed: whether the program that started the search had connected to it.
    """
    nodes = tuple(nodes_by_id().values())
    return Cluster(
        nodes=nodes,
        on_demand=_autoscaled_nodes(len(nodes)),
        is_remote=True,
        is_borrowed=is_borrowed,
    )


def nodes_by_id() -> dict[str, Node]:
    """Return the live nodes by Ray's node id."""
    return {
        node_id: _node(entry["NodeName"], entry["Resources"])
        for node_id, entry in alive_nodes().items()
    }


def alive_nodes() -> dict[str, dict[str, Any]]:
    """Return Ray's entries of the live nodes by node id."""
    entries = ray.nodes()  # type: ignore[no-untyped-call]
    return {entry["NodeID"]: entry for entry in entries if entry["Alive"]}


class NodeProbe:
    """Finds out whether a process crashed alone or with its node.

    Ray detects a crashed process at once, but a lost node only after several failed health checks,
    15 s by default. The probe runs a task on the node and waits until it returns or the node is
    declared dead.
    """

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._task = self._submit()

    def poll(self) -> bool | None:
        """Return whether the node is lost, or None while unknown."""
        if self._node_id not in alive_nodes():
            return True
        if not ray.wait([self._task], timeout=0)[0]:
            return None
        try:
            ray.get(self._task)
        except ray.exceptions.RayError:  # the node is going down, or short of memory
            self._task = self._submit()
            return None
        return False

    def _submit(self) -> ray.ObjectRef[None]:
        pinned = NodeAffinitySchedulingStrategy(self._node_id, soft=False)
        return _do_nothing.options(scheduling_strategy=pinned).remote()


@ray.remote(num_cpus=0, max_retries=0)
def _do_nothing() -> None:
    pass


def _node(name: str, resources: dict[str, float]) -> Node:
    gpus = [key.partition(":")[2] for key in resources if key.startswith("accelerator_type:")]
    return Node(
        name=name,
        cpus=int(resources.get("CPU", 0)),
        gpus=int(resources.get("GPU", 0)),
        memory=int(resources.get("memory", 0)),
        gpu=gpus[0] if gpus else None,
    )


def _autoscaled_nodes(alive: int) -> tuple[Node, ...]:
    """Return the nodes that an autoscaler could add; none without an autoscaler."""
    from ray._private.state import state

    config = state.get_cluster_config()
    if config is None:
        return ()
    possible = [
        _node(group.name, dict(group.resources))
        for group in config.node_group_configs
        for _ in range(group.max_count)
    ]
    # Ray does not say which of them are alive; waiting for one node too many is harmless
    return tuple(possible[: max(len(possible) - alive, 0)])


def measure_on_gpu_node(config: TrialConfig, data_dir: Path | None) -> MemoryPeak:
    """Return the peak memory of a training run on one of the cluster's GPUs."""
    # max_calls=1: the process exits after the call and frees the GPU
    measure = ray.remote(num_cpus=1, num_gpus=1, max_calls=1, max_retries=0)(peak_memory)
    return ray.get(measure.remote(config, data_dir))


# --- checks -------------------------------------------------------------------------------------


def probe(
    resources: TrialResources,
    folder: str,
    data: DataConfig,
    data_dir: str | None,
    fingerprint: Fingerprint,
) -> None:
    """Check on each node that a trial could run there, and build the node's data cache.

    Args:
        resources: resources per trial; nodes that are too small for a trial are skipped.
        folder: the output directory of runs, a path or a URL; temporary files are written there.
        data: the data set; nodes without it download it.
        data_dir: the directory of the data set.
        fingerprint: of the images on this machine; a node must have the same.

    Raises:
        UsageError: a trial cannot run on a node, and why.
    """
    mark = run_path(folder) / f".tune-ode-probe-{uuid.uuid4().hex}"
    nodes = {
        node_id: node.name
        for node_id, node in nodes_by_id().items()
        if node.fits(resources.cpus_per_trial, resources.gpus_per_trial)
    }
    mark.write_bytes(mark.name.encode())
    try:
        tasks = {
            node: _probe_node.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
            ).remote(__version__, address_of(mark), node, data.model_dump(), data_dir, fingerprint)
            for node in nodes
        }
        for node, task in tasks.items():
            problem = _wait(task)
            if problem is None and not _reply_file(mark, node).exists():
                problem = _not_shared(mark, "this machine does not see files written by the node")
            if problem is not None:
                raise UsageError(f"trials cannot run on node {nodes[node]}: {problem}")
    finally:
        for file in [mark, *(_reply_file(mark, node) for node in nodes)]:
            file.unlink(missing_ok=True)


def _wait(task: ray.ObjectRef[str | None]) -> str | None:
    try:
        return ray.get(task, timeout=_PROBE_SECONDS)
    except ray.exceptions.GetTimeoutError:
        return f"it did not respond within {_PROBE_SECONDS:g} s; run `ray status`"
    except ray.exceptions.RayError as error:
        missing = "No module named 'tune_ode'" in str(error)
        reason = "tune-ode is not installed" if missing else first_line(error)
        return f"{reason}; {_SAME_CODE}"


@ray.remote(num_cpus=0, max_retries=0)
def _probe_node(
    version: str,
    mark_name: str,
    node: str,
    data: dict[str, Any],
    data_dir: str | None,
    fingerprint: Fingerprint,
) -> str | None:
    """Return why trials cannot run on this node, or None."""
    if version != __version__:
        return f"it has tune-ode {__version__} instead of {version}; {_SAME_CODE}"
    mark = run_path(mark_name)
    try:
        mark.read_bytes()
        _reply_file(mark, node).write_bytes(b"")
    except FileNotFoundError:
        return _not_shared(mark, "the node does not see files written there")
    except (OSError, TuneOdeError) as error:
        return _not_shared(mark, first_line(error))
    try:
        images = load(DataConfig.model_validate(data), Path(data_dir) if data_dir else None)
        require_unchanged(images, fingerprint, "the node that searches", "copy them to this node")
    except TuneOdeError as error:
        return str(error)
    return None


def _reply_file(mark: RunPath, node: str) -> RunPath:
    return mark.parent / f"{mark.name}-{node}"


def _not_shared(mark: RunPath, why: str) -> str:
    return (
        f"it does not share {mark.parent} ({why}); runs must be where all nodes can access them, "
        "such as on a network file system"
    )
