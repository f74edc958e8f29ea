"""The architecture diagram shows the shapes, parameters and solver of the built network."""

from itertools import pairwise

import pytest

from analysis.plots import style
from search_spaces.recipes import recipe, recipes
from tune_ode.classifier import build_classifier
from tune_ode.config import TrialConfig
from tune_ode.pictures import architecture_data, plot_architecture
from tune_ode.pictures.architecture import figure_size

IMAGE = (3, 32, 32)


@pytest.mark.parametrize("name", recipes())
def test_the_parts_contain_all_parameters_of_the_network(name):
    config = recipe(name)
    data = architecture_data(config, IMAGE, 10)
    model = build_classifier(config.model, config.solver, input_shape=IMAGE, classes=10)
    assert data.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert sum(part.parameters for part in data.parts) == data.parameters
    assert data.parts[0].shape == IMAGE
    assert data.parts[-1].shape == (10,)


def test_shapes_and_solver_of_the_classic_network():
    data = architecture_data(recipe("classic"), (1, 28, 28), 10)
    shapes = [part.shape for part in data.parts]
    stem = [(64, 26, 26), (64, 13, 13), (64, 6, 6)]
    assert shapes == [(1, 28, 28), *stem, (64, 6, 6), (64,), (10,)]
    assert data.solver == "solved by dopri5, rtol 0.001, atol 0.001; gradient by backprop"
    assert [layer.splitlines()[-1] for layer in data.function] \
        == ["t, x", "of [t, ·]", "of [t, ·]", "group norm", "dx/dt"]  # fmt: skip


def test_hidden_layers_of_width_one_and_the_residual_baseline():
    values = {
        "model.architecture": "resnet", "model.blocks": 2, "model.head.hidden_layers": 1,
        "model.head.hidden_width": 1, "model.stem.kind": "res", "model.stem.extra_layers": 1,
    }  # fmt: skip
    data = architecture_data(TrialConfig().with_values(values), IMAGE, 2)
    assert [part.shape for part in data.parts[-3:]] == [(64,), (1,), (2,)]
    assert [part.section for part in data.parts].count("blocks") == 2
    assert (data.function, data.solver) == ((), "")


@pytest.mark.parametrize(
    ("kind", "labels", "shapes"),
    [
        (
            "patch",
            ["conv 4×4,\nstride 4", "conv 1×1"],
            [(16, 8, 8), (64, 8, 8)],
        ),
        (
            "pool",
            ["conv 3×3", "max pool,\ngroup norm\nrelu\nconv 3×3", "conv 1×1"],
            [(16, 30, 30), (16, 15, 15), (16, 7, 7), (64, 7, 7)],
        ),
    ],
)
def test_stems_of_their_own_width(kind, labels, shapes):
    values = {"model.stem.kind": kind, "model.stem.width": 16}
    data = architecture_data(TrialConfig().with_values(values), IMAGE, 10)
    stem = [part for part in data.parts if part.section == "stem"]
    assert [part.shape for part in stem] == shapes
    assert list(dict.fromkeys(part.label for part in stem)) == labels


@pytest.mark.parametrize("name", ["cifar10-step4", "fast"])
def test_all_labels_are_inside_the_picture_and_do_not_overlap(name):
    data = architecture_data(recipe(name), IMAGE, 10)
    figure = style.blank(*figure_size(data))
    plot_architecture(data, figure)
    figure.draw_without_rendering()
    (ax,) = figure.axes
    boxes = [text.get_window_extent() for text in ax.texts if text.get_text()]
    for box in boxes:
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
    for first, second in pairwise(boxes):
        assert not first.overlaps(second)
