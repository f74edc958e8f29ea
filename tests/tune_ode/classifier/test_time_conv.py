"""The split convolution is the concatenating one: values, gradients, weights in files."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tune_ode.classifier.time_conv import TimeConv2d
from tune_ode.classifier.vector_field import VectorField
from tune_ode.config import OdeConfig


class Concatenating(nn.Module):
    """The form that the split one replaces."""

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
def test_split_and_concatenating_form_agree_to_rounding(
    in_channels, out_channels, kernel, stride, padding, height, width, t
):
    """At every border, for every size, stride and width; weights go from one to the other."""
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


def test_weights_are_drawn_and_saved_in_the_concatenated_layout():
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


def test_the_plane_of_a_batch_serves_all_its_evaluations():
    field = VectorField(3, OdeConfig(convolutions=3, hidden_width=2)).double()
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    planes = field.planes(5, 5)
    for t in (0.0, 0.3, torch.tensor(1.7)):
        torch.testing.assert_close(field(t, x, planes), field(t, x))


def test_a_field_depends_on_its_planes_in_place_of_the_time_weights():
    """So that a gradient that stops at them, such as the adjoint's, loses nothing and repeats
    nothing."""
    field = VectorField(3, OdeConfig())
    planes = field.planes(5, 5)
    tensors = field.dependencies(planes)
    names = {id(parameter): name for name, parameter in field.named_parameters()}
    left_out = set(names) - {id(tensor) for tensor in tensors}
    assert {names[place] for place in left_out} == {
        "convolutions.0.time_weight",
        "convolutions.1.time_weight",
    }
    assert [id(plane) for plane in planes] == [id(tensor) for tensor in tensors[-2:]]
