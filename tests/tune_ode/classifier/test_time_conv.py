"""The split convolution equals the concatenated one: values, gradients, saved weights."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tune_ode.classifier.time_conv import TimeConv2d
from tune_ode.classifier.vector_field import VectorField
from tune_ode.config import OdeConfig


class Concatenating(nn.Module):
    """The reference implementation."""

    def __init__(self, *shape: int):
        super().__init__()
        in_channels, *rest = shape
        self.conv = nn.Conv2d(1 + in_channels, *rest)

    def forward(self, t: float, x: Tensor) -> Tensor:
        return self.conv(torch.cat([torch.full_like(x[:, :1], t), x], dim=1))


@given(
    in_channels=st.integers(1, 5),
    out_channels=st.integers(1, 5),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    height=st.integers(4, 9),
    width=st.integers(4, 9),
    t=st.floats(-3, 3),
)
@settings(max_examples=100, deadline=None)
def test_split_and_concatenated_form_agree_to_rounding(
    in_channels, out_channels, kernel, stride, padding, height, width, t
):
    """Including borders; the weights of one form load into the other."""
    shape = (in_channels, out_channels, kernel, stride, padding)
    torch.manual_seed(0)
    joint = Concatenating(*shape).double()
    split = TimeConv2d(*shape).double()
    split.load_state_dict(joint.conv.state_dict())
    results = []
    for form in (joint, split):
        x = torch.randn(2, in_channels, height, width, dtype=torch.float64).requires_grad_()
        x.data.copy_(torch.linspace(-1, 1, x.numel(), dtype=torch.float64).view_as(x))
        y = form(t, x)
        (y * torch.linspace(-2, 3, y.numel(), dtype=torch.float64).view_as(y)).sum().backward()
        results.append((y.detach(), x.grad))
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)
    weight = torch.cat([split.time_weight.grad[:, None], split.weight.grad], dim=1)
    torch.testing.assert_close(weight, joint.conv.weight.grad, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(split.bias.grad, joint.conv.bias.grad, rtol=1e-11, atol=1e-11)


def test_weights_are_initialized_and_saved_in_the_concatenated_layout():
    torch.manual_seed(5)
    joint = nn.Conv2d(4, 2, 3, padding=1).state_dict()
    torch.manual_seed(5)
    split = TimeConv2d(3, 2)
    saved = split.state_dict()
    assert list(saved) == ["weight", "bias"]
    assert torch.equal(saved["weight"], joint["weight"])
    assert torch.equal(saved["bias"], joint["bias"])
    other = TimeConv2d(3, 2)
    other.load_state_dict(saved)
    assert torch.equal(other.weight, split.weight)
    assert torch.equal(other.time_weight, split.time_weight)


def test_precomputed_planes_do_not_change_evaluations():
    vector_field = VectorField(3, OdeConfig(convolutions=3, hidden_width=2)).double()
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    planes = vector_field.planes(5, 5)
    for t in (0.0, 0.3, torch.tensor(1.7)):
        torch.testing.assert_close(vector_field(t, x, planes), vector_field(t, x))


def test_dependencies_contain_the_planes_instead_of_the_time_weights():
    """So that the gradient of the adjoint with respect to its inputs is complete."""
    vector_field = VectorField(3, OdeConfig())
    planes = vector_field.planes(5, 5)
    tensors = vector_field.dependencies(planes)
    names = {id(parameter): name for name, parameter in vector_field.named_parameters()}
    excluded = set(names) - {id(tensor) for tensor in tensors}
    assert {names[key] for key in excluded} == {
        "convolutions.0.time_weight",
        "convolutions.1.time_weight",
    }
    assert [id(plane) for plane in planes] == [id(tensor) for tensor in tensors[-2:]]
