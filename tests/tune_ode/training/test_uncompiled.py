"""An optimizer that leaves the compiler alone is torch's in all else."""

import subprocess
import sys

import pytest
import torch

from tune_ode.training.uncompiled import uncompiled

KINDS = {
    torch.optim.SGD: {"momentum": 0.9, "weight_decay": 0.1},
    torch.optim.Adam: {},
    torch.optim.AdamW: {},
    torch.optim.RMSprop: {},
    torch.optim.Muon: {},
}


def after_steps(kind: type, settings: dict) -> tuple[torch.Tensor, dict]:
    generator = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(4, 3, generator=generator))
    optimizer = kind([weight], lr=0.1, **settings)
    for _ in range(3):
        optimizer.zero_grad()
        (weight * torch.randn(4, 3, generator=generator)).sum().backward()
        optimizer.step()
    return weight.detach(), optimizer.state_dict()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_its_steps_and_its_state_are_those_of_torch(kind):
    weight, state = after_steps(uncompiled(kind), KINDS[kind])
    wanted, wanted_state = after_steps(kind, KINDS[kind])
    assert torch.equal(weight, wanted)
    assert str(state) == str(wanted_state)


def test_a_training_does_not_load_the_compiler():
    program = """
import sys, torch
from tune_ode.config.optimization import Adam, AdamW, Muon, RMSprop, Sgd
from tune_ode.training.optimizers import build_optimizer
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
