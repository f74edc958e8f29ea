"""Valid configurations can be built and solved."""

from contextlib import suppress

import optuna
import pytest
import torch

from search_spaces import configure, resolve_space, restrict
from search_spaces.image_constraints import fit_to_images
from tune_ode.classifier import build_classifier
from tune_ode.config import TrialConfig
from tune_ode.errors import SolveFailed

# narrow networks and loose tolerances: other values differ only in computing time
SMALL = {"model.width": "16", "solver.rtol": "1e-2..1e-1"}


@pytest.fixture(autouse=True)
def one_thread():
    """Avoid thread synchronization, which makes states this small a hundred times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 28)])
def test_points_of_the_full_space_classify_images(channels, size):
    base = TrialConfig()
    space, _ = fit_to_images(restrict(resolve_space("full"), SMALL), base, channels, size)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=size))
    images = torch.rand(2, channels, size, size)
    for _ in range(20):
        config = configure(base, space.sample(study.ask()))
        model = build_classifier(
            config.model, config.solver, input_shape=(channels, size, size), classes=10
        )
        with suppress(SolveFailed):  # a reached solver limit does not make a configuration invalid
            assert model(images).shape == (2, 10)
