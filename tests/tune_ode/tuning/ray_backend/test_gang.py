"""Contention is measured in one worker group per GPU model, sized like trials."""

import pytest

from tune_ode.machine.resources import Cluster, Node, local_machine, plan_resources


@pytest.fixture
def group_sizes(monkeypatch):
    """Return a function that returns the worker groups of a cluster as (node, size)."""
    from tune_ode.tuning.ray_backend import gang

    def group_sizes(nodes, **options):
        by_id = {f"{number:056d}": node for number, node in enumerate(nodes)}
        monkeypatch.setattr(gang, "nodes_by_id", lambda: by_id)
        resources = plan_resources(Cluster(nodes=tuple(nodes), is_remote=True), **options)
        return [(group.name, group.size) for group in gang.worker_groups(resources)]

    return group_sizes


def node(name, cpus, gpus=0, gpu=None):
    return Node(name=name, cpus=cpus, gpus=gpus, memory=2**33, gpu=gpu)


def test_each_gpu_model_has_a_group_on_the_node_that_fits_most_trials(group_sizes):
    nodes = [node("a", 16, 1, "A100"), node("b", 16, 2, "A100"), node("c", 3, 1, "T4")]
    assert group_sizes(nodes, gpus_per_trial=0.25) == [("b", 8), ("c", 3)]
    assert group_sizes(nodes, gpus_per_trial=0.25, max_concurrent=4) == [("a", 4), ("c", 3)]


def test_cpu_trials_have_one_group(group_sizes):
    nodes = [node("a", 4), node("b", 8, 1, "T4")]
    assert group_sizes(nodes, gpus_per_trial=0, cpus_per_trial=2) == [("b", 4)]


def test_a_single_machine_has_one_group():
    from tune_ode.tuning.ray_backend.gang import worker_groups

    (group,) = worker_groups(plan_resources(local_machine(cpus=3, gpus=0)))
    assert group.size == 3
