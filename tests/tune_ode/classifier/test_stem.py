"""The first convolution, which is computed as a matrix product for grey images."""

import pytest
import torch
from torch.nn import functional

from tune_ode.classifier.stem import FirstConv2d


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(("patch", "kernel", "stride"), [(None, 3, 1), (2, 2, 2), (4, 4, 4)])
def test_the_first_convolution_matches_conv2d(channels, padding, patch, kernel, stride):
    """In values, gradients and weight layout; non-square images reveal swapped axes."""
    torch.manual_seed(0)
    conv = FirstConv2d(channels, 5, padding, patch).double()
    images = torch.randn(4, channels, 7, 9, dtype=torch.float64)
    expected = functional.conv2d(images, conv.weight, conv.bias, stride, padding)
    result = conv(images)
    torch.testing.assert_close(result, expected)
    assert result.is_contiguous()
    cotangent = torch.randn_like(result)
    for ours, theirs in zip(
        torch.autograd.grad(result, list(conv.parameters()), cotangent),
        torch.autograd.grad(expected, list(conv.parameters()), cotangent),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
    assert conv.state_dict().keys() == {"weight", "bias"}
    assert conv.weight.shape == (5, channels, kernel, kernel)
