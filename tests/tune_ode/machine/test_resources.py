"""What a machine cannot give is refused with what it has; what it can is used to the full."""

import pytest

from tune_ode.errors import UsageError
from tune_ode.machine.resources import local_machine, plan_resources


def planned(*, cpus, gpus, **asked):
    return plan_resources(local_machine(cpus=cpus, gpus=gpus), **asked)


@pytest.mark.parametrize(
    ("asked", "at_once", "device"),
    [
        ({"cpus": 8, "gpus": 0}, 8, "cpu"),
        ({"cpus": 8, "gpus": 0, "cpus_per_trial": 3}, 2, "cpu"),
        ({"cpus": 8, "gpus": 2}, 2, "cuda"),  # a GPU each where there are some
        ({"cpus": 8, "gpus": 2, "gpus_per_trial": 0}, 8, "cpu"),
        ({"cpus": 16, "gpus": 2, "gpus_per_trial": 0.25}, 8, "cuda"),
        ({"cpus": 16, "gpus": 2, "gpus_per_trial": 0.4}, 4, "cuda"),  # twice on each, not 2.5 times
        ({"cpus": 16, "gpus": 1, "gpus_per_trial": 0.1}, 10, "cuda"),
        ({"cpus": 4, "gpus": 2, "gpus_per_trial": 0.1}, 4, "cuda"),  # CPU cores end it
        ({"cpus": 8, "gpus": 0, "max_concurrent": 3}, 3, "cpu"),
    ],
)
def test_as_many_trials_at_once_as_fit(asked, at_once, device):
    resources = planned(**asked)
    assert (resources.max_concurrent, resources.device) == (at_once, device)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"cpus": 2, "gpus": 0, "gpus_per_trial": 1}, "2 CPU cores and no GPUs"),
        ({"cpus": 2, "gpus": 4, "gpus_per_trial": 2}, "several trials at once"),
        ({"cpus": 2, "gpus": 1, "gpus_per_trial": -1}, "must be 0 to 1"),
        ({"cpus": 1, "gpus": 1, "cpus_per_trial": 2}, "1 CPU core and 1 GPU"),
        ({"cpus": 2, "gpus": 0, "cpus_per_trial": 0}, "must be 1 to 2"),
        ({"cpus": 2, "gpus": 0, "max_concurrent": 3}, "must be 1 to 2"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(asked, said):
    with pytest.raises(UsageError, match=said):
        planned(**asked)
