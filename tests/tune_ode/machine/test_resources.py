"""Resources of trials: as many as fit; requests beyond the machine name what it has."""

import pytest

from tune_ode.errors import UsageError
from tune_ode.machine.resources import local_machine, plan_resources


def plan(*, cpus, gpus, **options):
    return plan_resources(local_machine(cpus=cpus, gpus=gpus), **options)


@pytest.mark.parametrize(
    ("options", "concurrent", "device"),
    [
        ({"cpus": 8, "gpus": 0}, 8, "cpu"),
        ({"cpus": 8, "gpus": 0, "cpus_per_trial": 3}, 2, "cpu"),
        ({"cpus": 8, "gpus": 2}, 2, "cuda"),  # one GPU each
        ({"cpus": 8, "gpus": 2, "gpus_per_trial": 0}, 8, "cpu"),
        ({"cpus": 16, "gpus": 2, "gpus_per_trial": 0.25}, 8, "cuda"),
        ({"cpus": 16, "gpus": 2, "gpus_per_trial": 0.4}, 4, "cuda"),  # twice on each, not 2.5 times
        ({"cpus": 16, "gpus": 1, "gpus_per_trial": 0.1}, 10, "cuda"),
        ({"cpus": 4, "gpus": 2, "gpus_per_trial": 0.1}, 4, "cuda"),  # limited by CPU cores
        ({"cpus": 8, "gpus": 0, "max_concurrent": 3}, 3, "cpu"),
    ],
)
def test_as_many_trials_run_as_fit(options, concurrent, device):
    resources = plan(**options)
    assert (resources.max_concurrent, resources.device) == (concurrent, device)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cpus": 2, "gpus": 0, "gpus_per_trial": 1}, "2 CPU cores and no GPUs"),
        ({"cpus": 2, "gpus": 4, "gpus_per_trial": 2}, "several trials at once"),
        ({"cpus": 2, "gpus": 1, "gpus_per_trial": -1}, "must be 0 to 1"),
        ({"cpus": 1, "gpus": 1, "cpus_per_trial": 2}, "1 CPU core and 1 GPU"),
        ({"cpus": 2, "gpus": 0, "cpus_per_trial": 0}, "must be 1 to 2"),
        ({"cpus": 2, "gpus": 0, "max_concurrent": 3}, "must be 1 to 2"),
    ],
)
def test_missing_resources_are_rejected_with_the_inventory(options, message):
    with pytest.raises(UsageError, match=message):
        plan(**options)
