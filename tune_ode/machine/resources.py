"""Resources of machines and clusters, the share of each trial, and how many trials run at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tune_ode.errors import UsageError
from tune_ode.machine.memory import total_memory
from tune_ode.process.limits import usable_cores
from tune_ode.text import pluralize

_MEMORY_SHARE = 0.8
"""Share of a machine's memory for all trials together. Ray, the search and the system need the
rest, and Ray kills processes when less than 5 % is free."""
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Node:
    """Resources of one machine."""

    name: str
    cpus: int
    gpus: int
    memory: int
    """Bytes."""
    gpu: str | None = None
    """Model of the GPUs, if known."""
    limit: str = ""
    """What reduces the cores below those of the machine, as text; empty: nothing."""

    @property
    def inventory(self) -> str:
        """Name and resources as text."""
        return f"{self.name} with {_inventory(self.cpus, self.gpus, [self.gpu or ''])}"

    def fits(self, cpus: int, gpus: float) -> int:
        """Return how many trials with these CPU cores and GPUs fit on the node."""
        fitting = self.cpus // cpus
        if gpus > 0:
            # a trial uses one GPU: a share of 0.4 fits twice on each, not 2.5 times
            fitting = min(fitting, self.gpus * int(1 / gpus + _ROUNDING))
        return fitting


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Nodes that trials can run on: this machine, or a Ray cluster."""

    nodes: tuple[Node, ...]
    on_demand: tuple[Node, ...] = ()
    """Nodes that the cluster can add, one entry per node."""
    is_remote: bool = False
    """Whether this is a Ray cluster that the command connects to."""
    is_borrowed: bool = False
    """Whether the program that started the search had connected to it, and keeps the connection."""

    @property
    def cpus(self) -> int:
        """CPU cores of all nodes."""
        return sum(node.cpus for node in self.nodes)

    @property
    def gpus(self) -> int:
        """GPUs of all nodes."""
        return sum(node.gpus for node in self.nodes)

    @property
    def inventory(self) -> str:
        """Resources as text."""
        models = {node.gpu for node in self.nodes if node.gpu and node.gpus}
        has = _inventory(self.cpus, self.gpus, sorted(models))
        if not self.is_remote:
            (node,) = self.nodes
            return f"this machine has {has}" + f" ({node.limit})" * bool(node.limit)
        if self.on_demand:
            has += f", and up to {pluralize(len(self.on_demand), 'node')} more on demand"
        return f"the cluster has {pluralize(len(self.nodes), 'node')}, {has}"

    def slots(self, cpus: int, gpus: float) -> int:
        """Return how many trials to keep in flight: those that fit, and some for on-demand nodes.

        Ray adds a node for a trial that is waiting. As many may wait as fit already, so that a
        cluster doubles; at first, as many as fit on one node.
        """
        here = sum(node.fits(cpus, gpus) for node in self.nodes)
        waiting = [node.fits(cpus, gpus) for node in self.on_demand]
        return here + min(sum(waiting), max(here, *waiting)) if waiting else here


@dataclass(frozen=True, kw_only=True)
class TrialResources:
    """Resources of one trial, and how many trials run at once."""

    cluster: Cluster
    cpus_per_trial: int
    gpus_per_trial: float
    """In [0, 1]."""
    concurrency_limit: int | None
    """Maximum number of concurrent trials; None: as many as fit."""
    memory_per_trial: int | None = None
    """Bytes of main memory; None on a GPU, whose own memory is the limit."""

    @property
    def max_concurrent(self) -> int:
        """Number of concurrent trials on the current nodes."""
        return self.concurrent_on(self.cluster)

    def concurrent_on(self, cluster: Cluster) -> int:
        """Return the number of concurrent trials on a cluster whose nodes may have changed."""
        slots = cluster.slots(self.cpus_per_trial, self.gpus_per_trial)
        return slots if self.concurrency_limit is None else min(slots, self.concurrency_limit)

    @property
    def device(self) -> str:
        """Device that trials train on: `cuda` or `cpu`."""
        return "cuda" if self.gpus_per_trial > 0 else "cpu"

    @property
    def per_trial(self) -> str:
        """Resources of one trial as text."""
        cores = pluralize(self.cpus_per_trial, "CPU core")
        gpu = f" and {self.gpus_per_trial:g} of a GPU" if self.gpus_per_trial > 0 else ""
        return cores + gpu


def local_machine(cpus: int | None = None, gpus: int | None = None) -> Cluster:
    """Return this machine as a cluster of one node.

    Args:
        cpus: CPU cores; None: those that this process may use.
        gpus: GPUs; None: those that torch sees.
    """
    usable = usable_cores()
    node = Node(
        name=os.uname().nodename,
        cpus=usable.count if cpus is None else cpus,
        gpus=_gpus() if gpus is None else gpus,
        memory=total_memory(),
        limit=str(usable) if usable.limit and cpus is None else "",
    )
    return Cluster(nodes=(node,))


def plan_resources(
    cluster: Cluster,
    *,
    cpus_per_trial: int | None = None,
    gpus_per_trial: float | None = None,
    max_concurrent: int | None = None,
) -> TrialResources:
    """Return the resources of each trial, after checking that the cluster has them.

    Args:
        cluster: this machine, or a Ray cluster.
        cpus_per_trial: CPU cores of one trial, at least 1; None: 1.
        gpus_per_trial: GPUs of one trial, in [0, 1]; None: 1 if there is a GPU.
        max_concurrent: maximum number of concurrent trials; None: as many as fit.

    Raises:
        UsageError: the cluster lacks what is requested; the message names what it has.
    """
    nodes = cluster.nodes + cluster.on_demand
    cpus_per_trial = 1 if cpus_per_trial is None else cpus_per_trial
    has_gpus = any(node.gpus for node in nodes)
    gpus_per_trial = float(has_gpus) if gpus_per_trial is None else gpus_per_trial
    max_cpus = max((node.cpus for node in nodes), default=0)
    if not 1 <= cpus_per_trial <= max_cpus:
        one_node = ", and a trial runs on one node" * cluster.is_remote
        raise UsageError(
            f"--cpus-per-trial must be 1 to {max_cpus}, found {cpus_per_trial}: "
            f"{cluster.inventory}{one_node}"
        )
    if gpus_per_trial > 1:
        raise UsageError(
            f"--gpus-per-trial must be at most 1, found {gpus_per_trial:g}: these models are "
            "small, and several GPUs are used by training several trials at once"
        )
    if gpus_per_trial < 0:
        raise UsageError(f"--gpus-per-trial must be 0 to 1, found {gpus_per_trial:g}")
    if gpus_per_trial > 0 and not has_gpus:
        raise UsageError(
            f"--gpus-per-trial {gpus_per_trial:g} needs a GPU, but {cluster.inventory}; use "
            "--gpus-per-trial 0 to train on CPU cores"
        )
    resources = TrialResources(
        cluster=cluster,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        concurrency_limit=max_concurrent,
    )
    fits = {node: node.fits(cpus_per_trial, gpus_per_trial) for node in nodes}
    fitting = sum(fits[node] for node in nodes)
    if not fitting:
        raise UsageError(
            f"a trial needs {resources.per_trial} on one node, and no node has that: "
            f"{cluster.inventory}; request less with --cpus-per-trial or --gpus-per-trial"
        )
    # a remote cluster may grow beyond what is known now
    limit = max_concurrent if cluster.is_remote else fitting
    if max_concurrent is not None and not 1 <= max_concurrent <= (limit or fitting):
        raise UsageError(
            f"--max-concurrent must be 1 to {fitting}, found {max_concurrent}: "
            f"{cluster.inventory}, and a trial takes {resources.per_trial}"
        )
    if gpus_per_trial:
        return resources
    concurrent = max_concurrent or fitting
    memory = min(
        int(_MEMORY_SHARE * node.memory) // min(count, concurrent)
        for node, count in fits.items()
        if count
    )
    return replace(resources, memory_per_trial=memory)


def _inventory(cpus: int, gpus: int, models: Sequence[str]) -> str:
    named = f" ({', '.join(models)})" * bool(gpus and any(models))
    return f"{pluralize(cpus, 'CPU core')} and {pluralize(gpus, 'GPU')}{named}"


def _gpus() -> int:
    # importing torch takes seconds; without a driver's device files there is no GPU to count
    drivers = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
    if not any(Path(driver).exists() for driver in drivers):
        return 0
    import torch

    return torch.cuda.device_count()
