"""What a search's own Ray is started without."""

import pytest


@pytest.fixture
def ray_start():
    """Return the module; Ray takes a second to import."""
    from tune_ode.tuning.ray_backend import startup as ray_start

    return ray_start


def test_what_is_left_out_is_what_ray_starts(ray_start):
    # in a Ray that calls it otherwise it would start again, unnoticed
    from ray._private.node import Node

    for name in ray_start.LEFT_OUT:
        assert callable(getattr(Node, name))


def test_it_is_left_out_of_the_one_start_and_back_for_the_next(ray_start, monkeypatch):
    import ray
    from ray._private.node import Node

    from tune_ode.machine.resources import local_machine, plan_resources

    before = {name: getattr(Node, name) for name in ray_start.LEFT_OUT}
    during = {}
    monkeypatch.setattr(
        ray, "init", lambda **o: during.update({name: getattr(Node, name) for name in before})
    )
    with ray_start.started(plan_resources(local_machine(cpus=2, gpus=0)), verbose=False):
        assert not any(during[name] is before[name] for name in before)
        assert {name: getattr(Node, name) for name in before} == before
