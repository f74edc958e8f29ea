"""What machines have, what each trial gets of it, and how many trials run at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tune_ode.errors import UsageError
from tune_ode.machine.memory import total_memory
from tune_ode.text import pluralize

_MEMORY_SHARE = 0.8
"""Of a machine's memory, for all trials together: Ray, the search and the system need the rest,
and Ray ends processes when less than a twentieth is free."""
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Node:
    """What one machine offers to trials."""

    name: str
    cpus: int
    gpus: int
    memory: int
    """Bytes."""
    gpu: str | None = None
    """Kind of its GPUs, where that is known."""

    @property
    def inventory(self) -> str:
        """Its name and what it has, in words."""
        kind = f" ({self.gpu})" * bool(self.gpu and self.gpus)
        return f"{self.name} with {pluralize(self.cpus, 'CPU core')} and {pluralize(self.gpus, 'GPU')}{kind}"

    def fits(self, cpus: int, gpus: float) -> int:
        """Return how many trials of so many CPU cores and GPUs it can hold: none spans nodes."""
        fitting = self.cpus // cpus
        if gpus > 0:
            # a trial's share lies on one GPU: 0.4 fits twice on each, not 2.5 times
            fitting = min(fitting, self.gpus * int(1 / gpus + _ROUNDING))
        return fitting


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where trials can run: this machine, or a cluster."""

    nodes: tuple[Node, ...]
    possible: tuple[Node, ...] = ()
    """Nodes of a cluster that are there on demand, one by one; they may be many of a kind."""
    is_remote: bool = False

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
        """What it has, in words."""
        kinds = sorted({node.gpu for node in self.nodes if node.gpu and node.gpus})
        has = f"{pluralize(self.cpus, 'CPU core')} and {pluralize(self.gpus, 'GPU')}"
        has += f" ({', '.join(kinds)})" * bool(kinds)
        if not self.is_remote:
            return f"this machine has {has}"
        more = f", and up to {pluralize(len(self.possible), 'node')} more on demand"
        return f"the cluster has {pluralize(len(self.nodes), 'node')}, {has}{more * bool(self.possible)}"

    def slots(self, cpus: int, gpus: float) -> int:
        """Return how many trials to have under way: those that fit, and some for what can join.

        Ray brings up a node for a trial that waits for one. As many may wait as fit already, so
        that a cluster doubles; the first ones are those of a single node.
        """
        here = sum(node.fits(cpus, gpus) for node in self.nodes)
        joining = [node.fits(cpus, gpus) for node in self.possible]
        return here + min(sum(joining), max(here, *joining)) if joining else here


@dataclass(frozen=True, kw_only=True)
class TrialResources:
    """What one trial gets, and how many run at once."""

    cluster: Cluster
    cpus_per_trial: int
    gpus_per_trial: float
    concurrency_limit: int | None
    """Trials at once, whatever fits; None: as many as fit."""
    memory_per_trial: int | None = None
    """Bytes of a machine's memory; None on a GPU, whose memory is what matters."""

    @property
    def max_concurrent(self) -> int:
        """Trials at once, as the place is now."""
        return self.concurrent_on(self.cluster)

    def concurrent_on(self, place: Cluster) -> int:
        """Return how many trials run at once where nodes may have come and gone."""
        slots = place.slots(self.cpus_per_trial, self.gpus_per_trial)
        return slots if self.concurrency_limit is None else min(slots, self.concurrency_limit)

    @property
    def device(self) -> str:
        """Where trials train: `cuda` or `cpu`."""
        return "cuda" if self.gpus_per_trial > 0 else "cpu"

    @property
    def share(self) -> str:
        """What each trial gets, in words."""
        return f"{self.need} each"

    @property
    def need(self) -> str:
        """What a trial needs, in words."""
        cores = pluralize(self.cpus_per_trial, "CPU core")
        gpu = f" and {self.gpus_per_trial:g} of a GPU" if self.gpus_per_trial > 0 else ""
        return cores + gpu


def local_machine(*, cpus: int | None = None, gpus: int | None = None) -> Cluster:
    """Return this machine as a place for trials.

    Args:
        cpus: CPU cores; None: those this process may use.
        gpus: GPUs; None: those torch sees.
    """
    node = Node(
        name=os.uname().nodename,
        cpus=len(os.sched_getaffinity(0)) if cpus is None else cpus,
        gpus=_gpus() if gpus is None else gpus,
        memory=total_memory(),
    )
    return Cluster(nodes=(node,))


def plan_resources(
    place: Cluster,
    *,
    cpus_per_trial: int | None = None,
    gpus_per_trial: float | None = None,
    max_concurrent: int | None = None,
) -> TrialResources:
    """Fill in what was not asked for, and refuse what the place cannot give.

    Args:
        place: this machine, or a cluster.
        cpus_per_trial: CPU cores of one trial; None: 1.
        gpus_per_trial: GPUs of one trial, a fraction to share one; None: 1 if there is one.
        max_concurrent: trials at once; None: as many as fit.

    Raises:
        QuestionError: what is asked for is not there; says what is.
    """
    nodes = place.nodes + place.possible
    cpus_per_trial = 1 if cpus_per_trial is None else cpus_per_trial
    has_gpus = any(node.gpus for node in nodes)
    gpus_per_trial = float(has_gpus) if gpus_per_trial is None else gpus_per_trial
    most_cpus = max((node.cpus for node in nodes), default=0)
    if not 1 <= cpus_per_trial <= most_cpus:
        one_node = ", and a trial runs on one node" * place.is_remote
        raise UsageError(
            f"--cpus-per-trial must be 1 to {most_cpus}, found {cpus_per_trial}: "
            f"{place.inventory}{one_node}"
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
            f"--gpus-per-trial {gpus_per_trial:g} needs a GPU, but {place.inventory}; leave the "
            "option out to train on CPU cores"
        )
    resources = TrialResources(
        cluster=place,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        concurrency_limit=None,
    )
    fitting = sum(node.fits(cpus_per_trial, gpus_per_trial) for node in nodes)
    if not fitting:
        raise UsageError(
            f"a trial needs {resources.need} on one node, and none has that: {place.inventory}; "
            "ask for less with --cpus-per-trial or --gpus-per-trial"
        )
    # in a cluster more may join than can be told now
    if max_concurrent is not None and not 1 <= max_concurrent <= (
        max_concurrent if place.is_remote else fitting
    ):
        raise UsageError(
            f"--max-concurrent must be 1 to {fitting}, found {max_concurrent}: {place.inventory}, "
            f"and a trial takes {resources.need}"
        )
    at_once = max_concurrent or fitting
    memory = min(
        int(_MEMORY_SHARE * node.memory) // min(fits, at_once)
        for node in nodes
        if (fits := node.fits(cpus_per_trial, gpus_per_trial))
    )
    return TrialResources(
        cluster=place,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        concurrency_limit=max_concurrent,
        memory_per_trial=None if gpus_per_trial else memory,
    )


def _gpus() -> int:
    # importing torch takes seconds; a machine without a driver's device files has no GPU to count
    drivers = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
    if not any(Path(driver).exists() for driver in drivers):
        return 0
    import torch

    return torch.cuda.device_count()
