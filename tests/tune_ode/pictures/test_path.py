"""A path is the ODE's own: of the field as it is at each time, from what the stem hands over."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from analysis.plots import style
from tune_ode.classifier import build_classifier
from tune_ode.config import AdaptiveSolver, FixedGridSolver, TrialConfig
from tune_ode.errors import UsageError
from tune_ode.pictures import path_data, plot_path
from tune_ode.pictures.path import LEGS, path

NAMES = tuple("abcde")


class Slowing:
    """dx/dt = -2 t x, solved by x(0) exp(-t²)."""

    def planes(self, *size):
        return ()

    def __call__(self, t, x, planes):
        return -2 * t * x


@pytest.fixture
def look():
    """Return a function that makes the path data of an untrained model with a solver."""

    def look(solver, **values):
        config = TrialConfig().with_values({"model.width": 4, "model.blocks": 2, **values})
        torch.manual_seed(0)
        model = build_classifier(config.model, solver, input_shape=(1, 8, 8), classes=5).eval()
        torch.nn.init.normal_(model.head.output.weight)
        images = torch.randn(6, 1, 8, 8)
        return path_data(model, images, torch.tensor([0, 1, 2, 0, 1, 2]), NAMES)

    return look


def test_the_states_are_those_of_a_field_that_changes_with_time():
    block = SimpleNamespace(function=Slowing(), t1=1.5, augmented_channels=1)
    state = torch.rand(2, 3, 4, 4) + 1
    states = path(block, state)
    assert states.shape == (LEGS + 1, 2, 4, 4, 4)
    assert not states[:, :, 3].any(), "the augmented channel"
    times = torch.linspace(0, 1.5, LEGS + 1)[:, None, None, None, None]
    torch.testing.assert_close(
        states[:, :, :3], state * torch.exp(-(times**2)), rtol=1e-4, atol=1e-6
    )


def test_a_tight_solver_ends_where_the_path_does(look):
    data = look(AdaptiveSolver(rtol=1e-5, atol=1e-5))
    np.testing.assert_allclose(data.ends, data.points[-1], atol=2e-2)
    np.testing.assert_allclose(data.own_confidence, data.confidence[-1], atol=1e-3)
    assert data.times[-1] == 1.0
    assert data.labels == ("a", "b", "c", "a", "b", "c")


def test_a_coarse_solver_ends_elsewhere_and_the_picture_says_so(look):
    data = look(FixedGridSolver(method="euler"))
    assert np.abs(data.ends - data.points[-1]).max() > 0.1
    assert 0 < data.explained < 1
    figure = style.blank(constrained=True)
    plot_path(data, figure)
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["a", "b", "c", "t = 0", "end by its own solver, euler"]
    lines = figure.axes[1].get_lines()
    assert len(lines) == 6
    np.testing.assert_array_equal(lines[0].get_ydata(), data.confidence[:, 0])


def test_the_baseline_has_no_path(look):
    with pytest.raises(UsageError, match="no path over t"):
        look(AdaptiveSolver(), **{"model.architecture": "resnet"})
