"""The first convolution of grey images is a convolution, though it is computed otherwise."""

import pytest
import torch
from torch.nn import functional

from tune_ode.classifier.stem import FirstConv2d


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("padding", [0, 1])
def test_the_first_convolution_is_one(channels: int, padding: int):
    """Values, gradients and the layout of its weights; not square, so that no axis is swapped."""
    torch.manual_seed(0)
    conv = FirstConv2d(channels, 5, padding).double()
    images = torch.randn(4, channels, 7, 9, dtype=torch.float64)
    expected = functional.conv2d(images, conv.weight, conv.bias, padding=padding)
    result = conv(images)
    torch.testing.assert_close(result, expected)
    assert result.is_contiguous()
    toward = torch.randn_like(result)
    for ours, theirs in zip(
        torch.autograd.grad(result, list(conv.parameters()), toward),
        torch.autograd.grad(expected, list(conv.parameters()), toward),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
    assert conv.state_dict().keys() == {"weight", "bias"}
    assert conv.weight.shape == (5, channels, 3, 3)
