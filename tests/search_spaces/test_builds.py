"""What the configuration calls valid can be built and solved: spaces against the network itself."""

from contextlib import suppress

import optuna
import pytest
import torch

from search_spaces import configure, resolve_space
from search_spaces.image_constraints import fit_to_images
from search_spaces.restrict import restrict_by_text
from tune_ode.classifier import build_classifier
from tune_ode.config import TrialConfig
from tune_ode.errors import SolveFailed

# narrow and loose: that these work says nothing about a wider one or a tighter one but its seconds
SMALL = {"model.width": "16", "solver.rtol": "1e-2..1e-1", "solver.atol": "1e-2..1e-1"}


@pytest.fixture(autouse=True)
def one_thread():
    """States this small take a hundred times longer where threads wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 28)])
def test_points_of_the_full_space_classify_images(channels, size):
    base = TrialConfig()
    space, _ = fit_to_images(restrict_by_text(resolve_space("full"), SMALL), base, channels, size)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=size))
    images = torch.rand(2, channels, size, size)
    for _ in range(20):
        config = configure(base, space.sample(study.ask()))
        model = build_classifier(
            config.model, config.solver, input_shape=(channels, size, size), classes=10
        )
        with suppress(SolveFailed):  # a bound that was met says nothing against the configuration
            assert model(images).shape == (2, 10)
