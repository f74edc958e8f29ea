"""A warm-up leaves the state unchanged, even after a failure."""

import copy

import pytest
import torch

from tune_ode.classifier import build_classifier
from tune_ode.errors import SolveFailed
from tune_ode.training.optimization.optimizers import build_optimizer
from tune_ode.training.warmup import warm_up

IMAGES, LABELS = torch.zeros(6, 1, 8, 8), torch.zeros(6, dtype=torch.int64)


def build(config):
    torch.manual_seed(0)
    model = build_classifier(config.model, config.solver, input_shape=(1, 8, 8), classes=3)
    return model, build_optimizer(config.optimizer, model)


def snapshot(model, optimizer):
    return copy.deepcopy((model.state_dict(), optimizer.state_dict(), torch.get_rng_state()))


def assert_same_bits(a, b):
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same_bits(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for pair in zip(a, b, strict=True):
            assert_same_bits(*pair)
    else:
        assert a == b


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop", "muon"])
@pytest.mark.parametrize("stepped", [False, True])
def test_the_state_is_unchanged(small_config, name: str, stepped: bool):
    """Including batch norm buffers, random numbers of dropout, and optimizer states."""
    config = small_config(
        optimizer__name=name, model__normalization="batch", solver__method="bosh3"
    )  # bosh3 caches step sizes
    model, optimizer = build(config)
    if stepped:
        model(torch.randn(6, 1, 8, 8)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    model.reset_statistics()
    model.eval()
    before = snapshot(model, optimizer)
    warm_up(model, optimizer, (IMAGES, LABELS), IMAGES[:2])
    assert_same_bits(snapshot(model, optimizer), before)
    assert not model.training
    assert model.statistics.evaluations_forward == 0
    assert all(parameter.grad is None for parameter in model.parameters())


def test_on_a_cpu_it_runs_a_training_step_and_no_evaluation(small_config, monkeypatch):
    model, optimizer = build(small_config())
    passes, steps = [], []
    model.register_forward_hook(lambda m, inputs, _: passes.append((m.training, len(inputs[0]))))
    monkeypatch.setattr(optimizer, "step", lambda: steps.append(model.head.training))
    warm_up(model, optimizer, (IMAGES, LABELS), IMAGES[:2])
    assert passes == [(True, 6)]
    assert steps == [True]


def test_a_failed_solve_is_ignored(small_config):
    """Only real data decide whether a trial diverges."""
    model, optimizer = build(small_config())
    before = snapshot(model, optimizer)

    def fail(*_):
        raise SolveFailed("underflow")

    model.register_forward_hook(fail)
    warm_up(model, optimizer, (IMAGES, LABELS), IMAGES[:2])
    assert_same_bits(snapshot(model, optimizer), before)
