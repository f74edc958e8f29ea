"""Resources of trials: as many as fit; requests beyond the machine name what it has."""

import pytest

from tune_ode.errors import UsageError
from tune_ode.machine import resources as module
from tune_ode.machine.resources import local_machine, plan_resources
from tune_ode.process.limits import UsableCores


@pytest.mark.parametrize(
    ("cpus", "gpus", "options", "concurrent", "device"),
    [
        (8, 0, {}, 8, "cpu"),
        (8, 0, {"cpus_per_trial": 3}, 2, "cpu"),
        (8, 2, {}, 2, "cuda"),  # one GPU each
        (8, 2, {"gpus_per_trial": 0}, 8, "cpu"),
        (16, 2, {"gpus_per_trial": 0.25}, 8, "cuda"),
        (16, 2, {"gpus_per_trial": 0.4}, 4, "cuda"),  # twice on each, not 2.5 times
        (16, 1, {"gpus_per_trial": 0.1}, 10, "cuda"),
        (4, 2, {"gpus_per_trial": 0.1}, 4, "cuda"),  # limited by CPU cores
        (8, 0, {"max_concurrent": 3}, 3, "cpu"),
    ],
)
def test_as_many_trials_run_as_fit(cpus, gpus, options, concurrent, device):
    resources = plan_resources(local_machine(cpus=cpus, gpus=gpus), **options)
    assert (resources.max_concurrent, resources.device) == (concurrent, device)


@pytest.mark.parametrize(
    ("cpus", "gpus", "options", "message"),
    [
        (2, 0, {"gpus_per_trial": 1}, "2 CPU cores and no GPUs"),
        (2, 4, {"gpus_per_trial": 2}, "several trials at once"),
        (2, 1, {"gpus_per_trial": -1}, "must be 0 to 1"),
        (1, 1, {"cpus_per_trial": 2}, "1 CPU core and 1 GPU"),
        (2, 0, {"cpus_per_trial": 0}, "must be 1 to 2"),
        (2, 0, {"max_concurrent": 3}, "must be 1 to 2"),
    ],
)
def test_missing_resources_are_rejected_with_the_inventory(cpus, gpus, options, message):
    with pytest.raises(UsageError, match=message):
        plan_resources(local_machine(cpus=cpus, gpus=gpus), **options)


def test_a_quota_limits_the_trials_and_is_named(monkeypatch):
    limited = UsableCores(1, 2, "the container's CPU quota")
    monkeypatch.setattr(module, "usable_cores", lambda: limited)
    resources = plan_resources(local_machine(gpus=0))
    assert resources.max_concurrent == 1
    named = r"this machine has 1 CPU core and no GPUs \(1 of 2 cores: the container's CPU quota\)"
    with pytest.raises(UsageError, match=named):
        plan_resources(local_machine(gpus=0), cpus_per_trial=2)
