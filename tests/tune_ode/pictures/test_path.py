"""A path solves the ODE of a block from the output of the stem, with a time-dependent field."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from analysis.plots import style
from tune_ode.classifier import build_classifier
from tune_ode.config import AdaptiveSolver, FixedGridSolver, TrialConfig
from tune_ode.errors import UsageError
from tune_ode.pictures import path_data, plot_path
from tune_ode.pictures.path import LEGS, solve_path

NAMES = tuple("abcde")


class TimeDependentField:
    """dx/dt = -2 t x, with the solution x(0) exp(-t²)."""

    def planes(self, *size):
        return ()

    def __call__(self, t, x, planes):
        return -2 * t * x


@pytest.fixture
def make_data():
    """Return a function that makes the path data of an untrained model with a solver."""

    def make(solver, **values):
        config = TrialConfig().with_values({"model.width": 4, "model.blocks": 2, **values})
        torch.manual_seed(0)
        model = build_classifier(config.model, solver, input_shape=(1, 8, 8), classes=5).eval()
        torch.nn.init.normal_(model.head.output.weight)
        images = torch.randn(6, 1, 8, 8)
        return path_data(model, images, torch.tensor([0, 1, 2, 0, 1, 2]), NAMES)

    return make


def test_states_match_the_solution_of_a_time_dependent_field():
    block = SimpleNamespace(function=TimeDependentField(), t1=1.5, augmented_channels=1)
    state = torch.rand(2, 3, 4, 4) + 1
    states = solve_path(block, state)
    assert states.shape == (LEGS + 1, 2, 4, 4, 4)
    assert not states[:, :, 3].any(), "augmented channel"
    times = torch.linspace(0, 1.5, LEGS + 1)[:, None, None, None, None]
    torch.testing.assert_close(
        states[:, :, :3], state * torch.exp(-(times**2)), rtol=1e-4, atol=1e-6
    )


def test_an_accurate_solver_ends_at_the_end_of_the_path(make_data):
    data = make_data(AdaptiveSolver(rtol=1e-5, atol=1e-5))
    np.testing.assert_allclose(data.ends, data.points[-1], atol=2e-2)
    np.testing.assert_allclose(data.own_confidence, data.confidence[-1], atol=1e-3)
    assert data.times[-1] == 1.0
    assert data.labels == ("a", "b", "c", "a", "b", "c")


def test_the_picture_marks_where_a_coarse_solver_ends(make_data):
    data = make_data(FixedGridSolver(method="euler"))
    assert np.abs(data.ends - data.points[-1]).max() > 0.1
    assert 0 < data.explained < 1
    figure = style.blank(9, 5)
    plot_path(data, figure)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["a", "b", "c", "t = 0", "end by own solver, euler"]
    lines = figure.axes[1].get_lines()
    assert len(lines) == 6
    np.testing.assert_array_equal(lines[0].get_ydata(), data.confidence[:, 0])


def test_the_residual_baseline_has_no_path(make_data):
    with pytest.raises(UsageError, match="no path over t"):
        make_data(AdaptiveSolver(), **{"model.architecture": "resnet"})
