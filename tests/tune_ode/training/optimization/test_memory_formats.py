"""A training goes on unchanged on a device whose models have another memory format."""

import copy
import io

import pytest
import torch
from torch import nn

from tests.tune_ode.training.optimization.test_optimizers import each_optimizer, set_gradients
from tests.tune_ode.training.test_resume import each_training, tensors
from tune_ode.classifier import Classifier
from tune_ode.training.checkpoints import read_checkpoint
from tune_ode.training.optimization.optimizers import build_optimizer

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
each_change = pytest.mark.parametrize(
    ("before", "after"),
    [("contiguous", "channels_last"), ("channels_last", "contiguous")],
    ids=lambda name: name,
)


class Network(nn.Module):
    """Weights of every kind: filters with 1, 2 and 6 inputs, 1×1 and grouped ones, a scalar."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.Conv2d(2, 6, (3, 2)), nn.GroupNorm(2, 6),
            nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 4, 1), nn.Linear(24, 3),
        )  # fmt: skip
        self.scale = nn.Parameter(torch.ones(()))


def step(model, optimizer, seed):
    """Take a step with gradients that depend on the seed, in the format of the parameters."""
    set_gradients(model, seed)
    for parameter in model.parameters():
        parameter.grad = torch.empty_like(parameter).copy_(parameter.grad)
    optimizer.step()


def stored(state):
    """Return a state after a round trip through a file."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def assert_close(model, expected, config):
    # Muon's Newton–Schulz iteration in bfloat16 rounds each column order differently
    tolerance = 0.01 if config.name == "muon" else 0
    for (name, found), value in zip(model.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(found, value, rtol=0, atol=tolerance, msg=name)


@each_optimizer
@each_change
def test_a_resumed_optimizer_pairs_state_and_weights(config, before, after):
    uninterrupted = Network().to(memory_format=FORMATS[before])
    optimizer = build_optimizer(config, uninterrupted)
    for seed in range(3):
        step(uninterrupted, optimizer, seed)
    resumed = Network().to(memory_format=FORMATS[after])
    resumed.load_state_dict(stored(uninterrupted.state_dict()))
    restored = build_optimizer(config, resumed)
    restored.load_state_dict(stored(optimizer.state_dict()))
    for seed in range(3, 6):
        step(uninterrupted, optimizer, seed)
        step(resumed, restored, seed)
    assert_close(resumed, uninterrupted, config)


@each_optimizer
@each_change
def test_the_saved_state_does_not_depend_on_the_memory_format(config, before, after):
    """Shapes and values; a state that moves there and back is the same, bit for bit."""
    model = Network().to(memory_format=FORMATS[before])
    optimizer = build_optimizer(config, model)
    step(model, optimizer, 0)
    state = copy.deepcopy(optimizer.state_dict())
    for memory_format in (after, before):
        other = build_optimizer(config, Network().to(memory_format=FORMATS[memory_format]))
        other.load_state_dict(state)
        assert tensors(other.state_dict()) == tensors(state)
        state = stored(other.state_dict())


@each_optimizer
def test_loaded_state_has_the_strides_and_dtype_of_its_parameter(config):
    model = Network()
    optimizer = build_optimizer(config, model)
    step(model, optimizer, 0)
    half = Network().to(torch.bfloat16, memory_format=torch.channels_last)
    other = build_optimizer(config, half)
    other.load_state_dict(optimizer.state_dict())
    for part in getattr(other, "parts", {"": other}).values():
        for parameter, values in part.state.items():
            for name, value in values.items():
                if name != "step":
                    assert value.dtype == torch.bfloat16
                    assert value.stride() == parameter.stride()


def test_momentum_of_muon_saved_as_matrices_is_still_read():
    """Checkpoints of earlier versions; in the same memory format as now."""
    from tune_ode.config.optimization import Muon

    model = Network()
    optimizer = build_optimizer(Muon(), model)
    step(model, optimizer, 0)
    state = optimizer.state_dict()
    earlier = copy.deepcopy(state)
    for values in earlier["muon"]["state"].values():
        values["momentum_buffer"] = values["momentum_buffer"].flatten(1)
    other = build_optimizer(Muon(), Network())
    other.load_state_dict(earlier)
    assert tensors(other.state_dict()) == tensors(state)


@each_training
@each_change
def test_a_training_resumed_with_another_memory_format_has_the_same_curve(
    fields, before, after, small_config, train, tmp_path, monkeypatch
):
    def run(memory_format, **options):
        monkeypatch.setattr(Classifier, "_memory_format", lambda *_: FORMATS[memory_format])
        return list(train(config, checkpoints=tmp_path, **options))

    config = small_config(model__width=8, **fields)
    expected = run(before)
    run(before, should_stop=iter([False] * 6 + [True]).__next__)
    resumed = run(after, resume_from=tmp_path / "last.pt")
    assert [report.epoch for report in resumed] == [1, 2, 3]
    tolerance = 0.02 if fields["optimizer__name"] == "muon" else 1e-4
    for found, report in zip(resumed, expected, strict=True):
        assert found.val_loss == pytest.approx(report.val_loss, rel=tolerance)
    weights = read_checkpoint(tmp_path / "last.pt")["model"].values()
    assert all(value.isfinite().all() for value in weights)
