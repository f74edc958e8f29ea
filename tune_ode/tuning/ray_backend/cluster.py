"""A Ray as a place for trials: joining a cluster, what nodes it has, and whether trials fit."""

from __future__ import annotations

import logging
import socket
import uuid
from pathlib import Path
from typing import Any

# first: it sets what Ray reads when it is imported
import tune_ode.tuning.ray_backend.startup  # isort: skip

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import tune_ode
from tune_ode.config import DataConfig, TrialConfig
from tune_ode.data import load
from tune_ode.errors import TuneOdeError, UsageError, first_line
from tune_ode.machine.gpu_packing import MemoryPeak, peak_memory
from tune_ode.machine.resources import Cluster, Node, TrialResources
from tune_ode.paths import RunPath as Location
from tune_ode.paths import address as address_of
from tune_ode.paths import run_path

_CONNECT_SECONDS = 5.0
_PROBE_SECONDS = 600.0
"""A node may have to download its data first."""
_SAME_CODE = "install the same there, or send the search with: tune-ode submit"


def join(address: str) -> Cluster:
    """Join a running cluster; return what it has.

    Args:
        address: `HOST:PORT` of its head, or `auto` on one of its nodes.

    Raises:
        QuestionError: there is none, or it lets nobody in.
    """
    if "://" in address:
        raise UsageError(
            f"--address takes HOST:PORT of a cluster's head, or auto on one of its nodes, found "
            f"{address}; to send a search to a cluster's dashboard, use: tune-ode submit"
        )
    host, _, port = address.rpartition(":")
    if address != "auto":
        if not host or not port.isdigit():
            raise UsageError(f"--address must be HOST:PORT or auto, found '{address}'")
        try:  # Ray would try for a minute
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise _unreachable(address, str(error)) from None
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            ignore_reinit_error=True,
        )
    except Exception as error:
        raise _unreachable(address, first_line(error)) from None
    return cluster_state()


def _unreachable(address: str, said: str) -> UsageError:
    return UsageError(
        f"no Ray cluster answers at --address {address}: {said}; see `ray status` on its head, and "
        "RAY_AUTH_TOKEN where it asks for one"
    )


# --- what it has --------------------------------------------------------------------------------


def cluster_state() -> Cluster:
    """Return the nodes that are there now, and those that can be had on demand."""
    nodes = tuple(nodes_by_id().values())
    return Cluster(nodes=nodes, possible=_on_demand(len(nodes)), is_remote=True)


def nodes_by_id() -> dict[str, Node]:
    """Return the nodes that are there, by Ray's id."""
    return {
        node_id: _node(entry["NodeName"], entry["Resources"])
        for node_id, entry in alive_nodes().items()
    }


def alive_nodes() -> dict[str, dict[str, Any]]:
    """Return Ray's entries of the nodes that are there, by id."""
    entries = ray.nodes()  # type: ignore[no-untyped-call]
    return {entry["NodeID"]: entry for entry in entries if entry["Alive"]}


class NodeProbe:
    """Whether a node has gone, asked when a process on it has died.

    Ray counts a node out only after several checks in silence, 15 s by default; that a process has
    died is known sooner. So the node is given a task: it answers, or is counted out.
    """

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._answer = self._ask()

    def poll(self) -> bool | None:
        """Return whether it has gone, or None while that is open."""
        if self._node_id not in alive_nodes():
            return True
        if not ray.wait([self._answer], timeout=0)[0]:
            return None
        try:
            ray.get(self._answer)
        except ray.exceptions.RayError:  # from the node as it goes, or from one short of memory
            self._answer = self._ask()
            return None
        return False

    def _ask(self) -> ray.ObjectRef[None]:
        pinned = NodeAffinitySchedulingStrategy(self._node_id, soft=False)
        return _sign_of_life.options(scheduling_strategy=pinned).remote()


@ray.remote(num_cpus=0, max_retries=0)
def _sign_of_life() -> None:
    """Run: there is nothing to say."""


def _node(name: str, has: dict[str, float]) -> Node:
    kinds = [key.partition(":")[2] for key in has if key.startswith("accelerator_type:")]
    return Node(
        name=name,
        cpus=int(has.get("CPU", 0)),
        gpus=int(has.get("GPU", 0)),
        memory=int(has.get("memory", 0)),
        gpu=kinds[0] if kinds else None,
    )


def _on_demand(here: int) -> tuple[Node, ...]:
    """Return the nodes that an autoscaler could add, where there is one."""
    from ray._private.state import state

    config = state.get_cluster_config()
    if config is None:
        return ()
    groups = [
        (group.name, dict(group.resources), max(group.max_count, 0))
        for group in config.node_group_configs
    ]
    possible = [_node(name, has) for name, has, most in groups for _ in range(most)]
    # which of them are here already is not told; that trials wait for one node too many is harmless
    return tuple(possible[: max(len(possible) - here, 0)])


def measure_on_gpu_node(config: TrialConfig, data_dir: Path | None) -> MemoryPeak:
    """Return the `packing.peak_memory` of a training on one of the cluster's GPUs."""
    # a process that ends with the call leaves nothing on the GPU
    measure = ray.remote(num_cpus=1, num_gpus=1, max_calls=1, max_retries=0)(peak_memory)
    return ray.get(measure.remote(config, data_dir))


# --- whether it fits ----------------------------------------------------------------------------


def probe(resources: TrialResources, folder: str, data: DataConfig, data_dir: str | None) -> None:
    """Try on each node whether a trial could work there; build its cache of the data.

    Args:
        resources: of a trial; a node that has no room for one is passed over.
        folder: where runs are kept, a path or a URL; files are written there, and removed.
        data: the data set; a node that lacks it downloads it, once.
        data_dir: where it lies or goes to.

    Raises:
        QuestionError: says which node cannot do what.
    """
    mark = run_path(folder) / f".tune-ode-probe-{uuid.uuid4().hex}"
    nodes = {
        node_id: node.name
        for node_id, node in nodes_by_id().items()
        if node.fits(resources.cpus_per_trial, resources.gpus_per_trial)
    }
    mark.write_bytes(mark.name.encode())
    try:
        answers = {
            node: _probe_node.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
            ).remote(tune_ode.__version__, address_of(mark), node, data.model_dump(), data_dir)
            for node in nodes
        }
        for node, answer in answers.items():
            refusal = _heard(answer)
            if refusal is None and not _answer_file(mark, node).exists():
                refusal = _not_shared(mark, "what it writes there is not seen here")
            if refusal is not None:
                raise UsageError(f"no trial could work on node {nodes[node]}: {refusal}")
    finally:
        for file in [mark, *(_answer_file(mark, node) for node in nodes)]:
            file.unlink(missing_ok=True)


def _heard(answer: ray.ObjectRef[str | None]) -> str | None:
    try:
        return ray.get(answer, timeout=_PROBE_SECONDS)
    except ray.exceptions.GetTimeoutError:
        return f"it gave no answer within {_PROBE_SECONDS:g} s; see `ray status`"
    except ray.exceptions.RayError as error:
        missing = "No module named 'tune_ode'" in str(error)
        said = "it has no tune-ode" if missing else first_line(error)
        return f"{said}; {_SAME_CODE}"


@ray.remote(num_cpus=0, max_retries=0)
def _probe_node(
    version: str, mark_name: str, node: str, data: dict[str, Any], data_dir: str | None
) -> str | None:
    """Return what keeps trials from this node, or None."""
    if version != tune_ode.__version__:
        return f"it has tune-ode {tune_ode.__version__}, and not {version}; {_SAME_CODE}"
    mark = run_path(mark_name)
    try:
        mark.read_bytes()
        _answer_file(mark, node).write_bytes(b"")
    except FileNotFoundError:
        return _not_shared(mark, "what is written there is not seen by it")
    except (OSError, TuneOdeError) as error:
        return _not_shared(mark, first_line(error))
    try:
        load(DataConfig.model_validate(data), Path(data_dir) if data_dir else None)
    except TuneOdeError as error:
        return str(error)
    return None


def _answer_file(mark: Location, node: str) -> Location:
    return mark.parent / f"{mark.name}-{node}"


def _not_shared(mark: Location, why: str) -> str:
    return (
        f"it does not share {mark.parent} ({why}); choose an --output that all nodes reach, such "
        "as a network file system"
    )
