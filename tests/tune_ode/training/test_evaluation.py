"""Evaluation: means over images, without side effects."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from tune_ode.training import evaluate


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(20, 4, generator=generator)
    labels = torch.randint(3, (20,), generator=generator)
    return [(images[a:b], labels[a:b]) for a, b in ((0, 9), (9, 18), (18, 20))]


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))


def test_means_are_over_images_not_batches(batches):
    model = network()
    loss, accuracy = evaluate(model, batches)
    images = torch.cat([images for images, _ in batches])
    labels = torch.cat([labels for _, labels in batches])
    logits = model.eval()(images)
    assert loss == pytest.approx(functional.cross_entropy(logits, labels).item(), rel=1e-6)
    assert accuracy == (logits.argmax(1) == labels).sum().item() / 20
    assert 0 < accuracy < 1


@pytest.mark.parametrize("training", [True, False])
def test_mode_buffers_gradients_and_random_state_are_unchanged(batches, training: bool):
    model = network().train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    evaluate(model, batches)
    assert model.training == training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_mode_is_restored_after_an_error():
    model = network().train()
    with pytest.raises(RuntimeError):
        evaluate(model, [(torch.zeros(2, 5), torch.zeros(2, dtype=torch.int64))])
    assert model.training
