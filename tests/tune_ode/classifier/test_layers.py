"""Layers of the classifier."""

from typing import get_args

import pytest
import torch
from torch import nn

from tune_ode.classifier.head import POOLINGS, Head
from tune_ode.classifier.layers import (
    ACTIVATIONS,
    NORMALIZATIONS,
    NormActivation,
    ResidualBlock,
    group_count,
)
from tune_ode.classifier.stem import STEM_LAYERS
from tune_ode.classifier.vector_field import VectorField
from tune_ode.config import HeadConfig, ModelConfig, OdeConfig
from tune_ode.config.model import Activation, Normalization, Pooling, StemKind


@pytest.mark.parametrize(
    ("registry", "names"),
    [
        (NORMALIZATIONS, Normalization),
        (ACTIVATIONS, Activation),
        (POOLINGS, Pooling),
        (STEM_LAYERS, StemKind),
    ],
)
def test_registries_contain_the_configurable_names(registry, names):
    assert set(registry) == set(get_args(names))


@pytest.mark.parametrize(
    ("channels", "groups"), [(1, 1), (7, 7), (32, 32), (33, 11), (37, 1), (48, 24), (64, 32)]
)
def test_groups_divide_the_channels(channels, groups):
    assert group_count(channels) == groups


@pytest.mark.parametrize(
    ("name", "over"),
    [("layer", (1, 2, 3)), ("instance", (2, 3)), ("batch", (0, 2, 3)), ("group", (2, 3, 4))],
)
def test_normalizations_standardize_over_their_axes(name, over):
    """64 channels in 32 groups of 2, images of different brightness and contrast."""
    torch.manual_seed(0)
    x = 5 + torch.randn(4, 64, 6, 6) * (0.5 + torch.rand(4, 64, 1, 1))
    y = NORMALIZATIONS[name](64)(x)
    if name == "group":
        y = y.unflatten(1, (32, 2))
    assert y.mean(over).abs().max() < 1e-4
    assert (y.std(over, correction=0) - 1).abs().max() < 1e-3


@pytest.mark.parametrize("normalization", get_args(Normalization))
@pytest.mark.parametrize("activation", get_args(Activation))
def test_activations_do_not_modify_their_input(normalization, activation):
    """It can be the state of the solver, which later stages and the gradient need."""
    x = torch.randn(2, 4, 5, 5)
    before = x.clone()
    NormActivation(normalization, activation, 4)(x)
    assert torch.equal(x, before)


def test_time_can_be_a_float_or_a_tensor_of_any_dtype():
    vector_field = VectorField(4, OdeConfig())
    x = torch.randn(2, 4, 5, 5)
    expected = vector_field(0.3, x)
    assert torch.equal(expected, vector_field(torch.tensor(0.3), x))
    assert torch.equal(expected, vector_field(torch.tensor(0.3, dtype=torch.float64), x))
    assert not torch.allclose(expected, vector_field(0.9, x))


@pytest.mark.parametrize("convolutions", [1, 2, 3, 4])
@pytest.mark.parametrize("hidden", [None, 3])
def test_a_vector_field_has_n_convolutions_and_n_plus_1_norms(convolutions, hidden):
    config = OdeConfig(convolutions=convolutions, hidden_width=hidden)
    vector_field = VectorField(5, config)
    convs = list(vector_field.convolutions)
    norms = [module for module in vector_field.modules() if isinstance(module, nn.GroupNorm)]
    inner = [hidden or 5] * (convolutions - 1)
    assert [conv.weight.shape[0] for conv in convs] == [*inner, 5]
    assert [conv.weight.shape[1] for conv in convs] == [5, *inner]
    assert len(norms) == convolutions + 1
    assert vector_field(0.0, torch.randn(2, 5, 4, 4)).shape == (2, 5, 4, 4)


@pytest.mark.parametrize(("stride", "size"), [(1, 7), (2, 4)])
def test_a_residual_block_with_zero_residual_equals_its_shortcut(stride, size):
    """The identity with stride 1, a 1×1 convolution of the activated input with stride 2."""
    block = ResidualBlock("group", "relu", 4, stride=stride)
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 4, 7, 7)
    expected = x if stride == 1 else block.shortcut(block.activated1(x))
    assert torch.equal(block(x), expected)
    assert block(x).shape == (2, 4, size, size)


@pytest.mark.parametrize("hidden_layers", [0, 1, 2])
def test_dropout_follows_each_hidden_layer_or_the_pooling(hidden_layers):
    config = HeadConfig(hidden_layers=hidden_layers, hidden_width=6, dropout=0.5)
    head = Head(ModelConfig(head=config), 4, 3)
    dropped = []
    head.dropout.register_forward_hook(lambda _, args, out: dropped.append(tuple(out.shape)))
    assert head(torch.randn(2, 4, 5, 5)).shape == (2, 3)
    assert dropped == ([(2, 6)] * hidden_layers or [(2, 4)])


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_heads_pool_over_all_pixels(pooling):
    """The position of a feature in the image does not matter."""
    head = Head(ModelConfig(head=HeadConfig(pooling=pooling)), 4, 3).eval()
    state = torch.randn(1, 4, 6, 6)
    torch.testing.assert_close(head(state), head(state.roll((2, 1), dims=(2, 3))))
