"""Idle OpenMP threads sleep soon, so that a training leaves its cores to other programs."""

import os
import re
import subprocess
import sys

import pytest

PROGRAM = "import tune_ode.training, torch; torch.set_num_threads(2); torch.ones(10**6).sum()"


def spin_count(**variables):
    """Return the spin count that libgomp prints when torch loads it."""
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    env = {name: value for name, value in os.environ.items() if name not in names}
    env |= {"OMP_DISPLAY_ENV": "verbose"} | variables
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True
    )
    found = re.search(r"GOMP_SPINCOUNT = '(\w+)'", ran.stderr)
    if found is None:
        pytest.skip("this torch uses another OpenMP runtime")
    return found[1]


def test_a_process_that_trains_has_a_small_spin_count():
    assert spin_count() == "3000"


@pytest.mark.long
@pytest.mark.parametrize(
    ("variables", "expected"),
    [({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "passive"}, "0")],
)
def test_the_users_settings_count(variables, expected):
    assert spin_count(**variables) == expected
