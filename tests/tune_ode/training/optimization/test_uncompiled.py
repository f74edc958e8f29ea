"""Optimizers that do not import the compiler otherwise equal those of torch."""

import subprocess
import sys

import pytest
import torch

from tune_ode.training.optimization.uncompiled import uncompiled

OPTIMIZERS = {
    torch.optim.SGD: {"momentum": 0.9, "weight_decay": 0.1},
    torch.optim.Adam: {},
    torch.optim.AdamW: {},
    torch.optim.RMSprop: {},
    torch.optim.Muon: {},
}


def after_steps(optimizer_class: type, options: dict) -> tuple[torch.Tensor, dict]:
    generator = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(4, 3, generator=generator))
    optimizer = optimizer_class([weight], lr=0.1, **options)
    for _ in range(3):
        optimizer.zero_grad()
        (weight * torch.randn(4, 3, generator=generator)).sum().backward()
        optimizer.step()
    return weight.detach(), optimizer.state_dict()


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer.__name__)
def test_steps_and_state_equal_those_of_torch(optimizer):
    weight, state = after_steps(uncompiled(optimizer), OPTIMIZERS[optimizer])
    expected, expected_state = after_steps(optimizer, OPTIMIZERS[optimizer])
    assert torch.equal(weight, expected)
    assert str(state) == str(expected_state)


def test_training_does_not_import_the_compiler():
    program = """
import sys, torch
from tune_ode.config.optimization import Adam, AdamW, Muon, RMSprop, Sgd
from tune_ode.training.optimization.optimizers import build_optimizer
for config in (Sgd(), Adam(), AdamW(), RMSprop(), Muon()):
    layer = torch.nn.Conv2d(1, 2, 3)
    optimizer = build_optimizer(config, layer)
    optimizer.zero_grad()
    layer(torch.ones(1, 1, 3, 3)).sum().backward()
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
