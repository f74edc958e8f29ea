"""Where the price of sharing is measured: on a node of each kind, as trials would share it."""

import pytest

from tune_ode.machine.resources import Cluster, Node, local_machine, plan_resources


@pytest.fixture
def rooms_of(monkeypatch):
    """Return a function that tells the rooms of a cluster of such nodes, by node and most."""
    from tune_ode.tuning.ray_backend import gang as ray_together

    def rooms_of(nodes, **asked):
        place = Cluster(nodes=tuple(nodes), is_remote=True)
        by_id = {f"{number:056d}": node for number, node in enumerate(nodes)}
        monkeypatch.setattr(ray_together, "nodes_by_id", lambda: by_id)
        found = ray_together.worker_groups(plan_resources(place, **asked))
        return [(room.name, room.size) for room in found]

    return rooms_of


def node(name, cpus, gpus=0, gpu=None):
    return Node(name=name, cpus=cpus, gpus=gpus, memory=2**33, gpu=gpu)


def test_on_each_kind_of_gpu_where_it_has_the_most_room(rooms_of):
    nodes = [node("a", 16, 1, "A100"), node("b", 16, 2, "A100"), node("c", 3, 1, "T4")]
    assert rooms_of(nodes, gpus_per_trial=0.25) == [("b", 8), ("c", 3)]
    assert rooms_of(nodes, gpus_per_trial=0.25, max_concurrent=4) == [("a", 4), ("c", 3)]


def test_trials_on_cpus_are_all_of_one_kind(rooms_of):
    nodes = [node("a", 4), node("b", 8, 1, "T4")]
    assert rooms_of(nodes, gpus_per_trial=0, cpus_per_trial=2) == [("b", 4)]


def test_this_machine_is_one_room():
    from tune_ode.tuning.ray_backend.gang import worker_groups

    (room,) = worker_groups(plan_resources(local_machine(cpus=3, gpus=0)))
    assert room.size == 3
