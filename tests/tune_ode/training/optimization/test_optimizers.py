"""Optimizers compared with their formulas: updated parameters, updates, weight decay."""

import copy
import math
from typing import get_args

import pytest
import torch
from torch import nn

from tune_ode.config.optimization import Adam, AdamW, Muon, OptimizerName, RMSprop, Sgd
from tune_ode.training.optimization.muon import FilterMuon, as_matrix
from tune_ode.training.optimization.optimizers import (
    OPTIMIZERS,
    build_optimizer,
    follow_schedule,
)

CONFIGS = [
    Sgd(weight_decay=0.1, nesterov=True),
    Adam(weight_decay=0.1),
    AdamW(weight_decay=0.1),
    RMSprop(weight_decay=0.1, momentum=0.5),
    Muon(weight_decay=0.1),
]
each_optimizer = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.GroupNorm(2, 6), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(24, 3)
    )


def set_gradients(model: nn.Module, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def weight_after(config, values: torch.Tensor, gradients: list[torch.Tensor]) -> torch.Tensor:
    """Return a linear layer's weight after steps with the given gradients."""
    layer = nn.Linear(values.shape[1], values.shape[0], bias=False)
    layer.weight.data.copy_(values)
    optimizer = build_optimizer(config, layer)
    for gradient in gradients:
        layer.weight.grad = gradient.clone()
        optimizer.step()
    return layer.weight.detach()


def test_every_configurable_optimizer_has_a_builder():
    assert set(OPTIMIZERS) == set(get_args(OptimizerName))


@each_optimizer
def test_each_parameter_is_updated_once(config):
    model = network()
    before = copy.deepcopy(model.state_dict())
    optimizer = build_optimizer(config, model)
    set_gradients(model)
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert not torch.equal(parameter, before[name]), name
    counted = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    assert counted == sum(p.numel() for p in model.parameters())


@each_optimizer
def test_decay_applies_to_weights_but_not_to_norms_and_biases(config):
    """With zero gradients only decayed parameters change."""
    model = network()
    before = copy.deepcopy(model.state_dict())
    optimizer = build_optimizer(config, model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {"0.weight", "4.weight"}
    for name in changed:
        assert model.state_dict()[name].norm() < before[name].norm()


P = torch.tensor([[1.0, -2.0, 0.5]])
G = torch.tensor([[0.3, -0.1, -2.0]])
H = torch.tensor([[-0.2, 0.4, 1.0]])


@pytest.mark.parametrize(
    ("config", "gradients", "expected"),
    [
        (Sgd(learning_rate=0.1, momentum=0, weight_decay=0.5), [G], P - 0.1 * (G + 0.5 * P)),
        (
            Sgd(learning_rate=0.1, momentum=0.9),
            [G, H],
            P - 0.1 * G - 0.1 * (0.9 * G + H),
        ),
        (
            Sgd(learning_rate=0.1, momentum=0.9, nesterov=True),
            [G, H],
            P - 0.1 * (G + 0.9 * G) - 0.1 * (H + 0.9 * (0.9 * G + H)),
        ),
        # Adam's first step is the sign of the gradient, since bias correction cancels the averages
        (Adam(learning_rate=0.1), [G], P - 0.1 * G.sign()),
        (Adam(learning_rate=0.1, weight_decay=1.0), [G], P - 0.1 * (G + P).sign()),
        (AdamW(learning_rate=0.1, weight_decay=0.5), [G], P * (1 - 0.05) - 0.1 * G.sign()),
        (
            AdamW(learning_rate=0.1, beta1=0.5, beta2=0.75),
            [G, H],
            P
            - 0.1 * G.sign()
            - 0.1
            * ((0.25 * G + 0.5 * H) / 0.75)
            / ((0.75 * 0.25 * G**2 + 0.25 * H**2) / (1 - 0.75**2)).sqrt(),
        ),
        (
            RMSprop(learning_rate=0.1, alpha=0.75),
            [G, H],
            P
            - 0.1 * G / (0.25 * G**2).sqrt()
            - 0.1 * H / (0.75 * 0.25 * G**2 + 0.25 * H**2).sqrt(),
        ),
    ],
)
def test_steps_match_the_formulas(config, gradients, expected):
    torch.testing.assert_close(weight_after(config, P, gradients), expected, rtol=1e-5, atol=1e-6)


def test_muon_orthogonalizes_the_update_of_filters():
    """The update is lr·√(max(1, rows/columns)) times a matrix close to the polar factor U Vᵀ."""
    generator = torch.Generator().manual_seed(1)
    for shape in [(8, 3, 3, 3), (32, 2, 3, 3), (6, 6, 1, 1)]:
        gradient = torch.randn(shape, generator=generator)
        filters = nn.Parameter(torch.zeros(shape))
        filters.grad = gradient
        FilterMuon([filters], lr=0.02, momentum=0.95, weight_decay=0.0).step()
        rows, columns = shape[0], math.prod(shape[1:])
        update = -filters.detach().flatten(1) / (0.02 * math.sqrt(max(1, rows / columns)))
        # the quintic maps singular values to about 0.7 … 1.2 (Jordan et al. 2024)
        assert torch.linalg.svdvals(update).min() > 0.6
        assert torch.linalg.svdvals(update).max() < 1.3
        u, _, vh = torch.linalg.svd(gradient.flatten(1), full_matrices=False)
        cosine = (update * (u @ vh)).sum() / (update.norm() * (u @ vh).norm())
        assert cosine > 0.97


def test_muon_on_filters_equals_torchs_muon_on_matrices():
    """Over several steps, with momentum, Nesterov, weight decay and scale."""
    torch.manual_seed(2)
    filters = nn.Parameter(torch.randn(5, 3, 2, 2))
    matrix = nn.Parameter(filters.detach().clone().flatten(1))
    ours = FilterMuon([filters], lr=0.1, momentum=0.9, weight_decay=0.3)
    reference = torch.optim.Muon([matrix], lr=0.1, momentum=0.9, weight_decay=0.3)
    for _ in range(3):
        filters.grad = torch.randn(filters.shape)
        matrix.grad = filters.grad.clone().flatten(1)
        ours.step()
        reference.step()
    assert torch.equal(filters.detach().flatten(1), matrix.detach())


def test_muon_does_not_depend_on_the_memory_format():
    torch.manual_seed(3)
    values, gradient = torch.randn(8, 4, 3, 3), torch.randn(8, 4, 3, 3)
    updated = []
    for memory in (torch.contiguous_format, torch.channels_last):
        filters = nn.Parameter(values.clone(memory_format=memory))
        filters.grad = gradient.clone(memory_format=memory)
        FilterMuon([filters], lr=0.1, momentum=0.9, weight_decay=0.0).step()
        updated.append(filters.detach())
    # bfloat16 sums in another order
    torch.testing.assert_close(updated[0], updated[1], rtol=0, atol=0.1 * 0.02)
    assert not torch.equal(updated[1], values)


def test_a_channels_last_matrix_is_a_view_with_permuted_columns():
    filters = torch.arange(24.0).reshape(2, 3, 2, 2)
    matrix = as_matrix(filters.to(memory_format=torch.channels_last), channels_last=True)
    assert matrix.shape == (2, 12)
    assert torch.equal(matrix.sort(dim=1).values, filters.flatten(1))


def test_muon_uses_adamw_for_parameters_other_than_filters():
    config = Muon(weight_decay=0.1, adamw_learning_rate=0.003)
    ours, reference = network(), network()
    optimizer = build_optimizer(config, ours)
    adamw = build_optimizer(AdamW(weight_decay=0.1, learning_rate=0.003), reference)
    for step in range(2):
        set_gradients(ours, step)
        set_gradients(reference, step)
        optimizer.step()
        adamw.step()
    for (name, a), b in zip(ours.named_parameters(), reference.parameters(), strict=True):
        assert torch.equal(a, b) == (name != "0.weight"), name


@pytest.mark.parametrize("config", [Muon(), AdamW(), Sgd()], ids=lambda config: config.name)
def test_a_parameter_without_a_gradient_is_unchanged(config):
    """Whether or not it had one at an earlier step."""
    model = network()
    optimizer = build_optimizer(config, model)
    for _ in range(2):
        before = copy.deepcopy(model.state_dict())
        optimizer.step()
        assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
        set_gradients(model)
        optimizer.step()
        for parameter in model.parameters():
            parameter.grad = None


@each_optimizer
def test_all_rates_scale_relative_to_the_configured_ones(config):
    optimizer = build_optimizer(config, network())
    rates = [group["lr"] for group in optimizer.param_groups]
    follow_schedule(optimizer, 0.5, None)
    follow_schedule(optimizer, 0.1, None)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1 * rate for rate in rates]
    assert max(rates) == config.learning_rate


@each_optimizer
def test_a_restored_optimizer_continues_identically(config):
    model = network()
    optimizer = build_optimizer(config, model)
    for step in range(3):
        set_gradients(model, step)
        optimizer.step()
    twin = copy.deepcopy(model)
    restored = build_optimizer(config, twin)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for step in range(3, 5):
        for net, opt in ((model, optimizer), (twin, restored)):
            set_gradients(net, step)
            opt.step()
    assert all(map(torch.equal, model.parameters(), twin.parameters()))


@each_optimizer
def test_zero_grad_removes_every_gradient(config):
    model = network()
    optimizer = build_optimizer(config, model)
    set_gradients(model)
    optimizer.step()
    optimizer.zero_grad()
    assert all(p.grad is None for p in model.parameters())
