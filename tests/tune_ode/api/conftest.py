"""A small search of the API on real digits, in this process instead of on Ray."""

import pytest

import tune_ode as to
from tune_ode.tuning.search.local_backend import run_in_process

TINY = {
    "fix": {"solver.method": "euler", "model.width": 8, "training.epochs": 4},
    "train_images": 400,
    "trial_seconds": 2,
    "calibrate": False,
}


def in_process(search, folder, plan, display, *, verbose):
    run_in_process(search, tick=display.tick)


@pytest.fixture(scope="module")
def module_patch(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tune_ode.tuning.launch._run_on_ray", in_process)
        patch.chdir(tmp_path_factory.mktemp("api"))
        yield patch


@pytest.fixture(scope="module")
def run(module_patch):
    """Return a search with two trials, in the working directory of the module's tests."""
    return to.search(dataset="digits", trials=2, progress=False, **TINY)


@pytest.fixture
def tiny():
    return TINY
