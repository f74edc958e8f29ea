"""One cycle of the learning rate and the momentum, compared with torch's OneCycleLR."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.tune_ode.solvers.cases import Synchronizations
from tune_ode.config.optimization import Adam, AdamW, Cosine, Muon, OneCycle, RMSprop, Sgd
from tune_ode.training.optimization.optimizers import build_optimizer, follow_schedule
from tune_ode.training.optimization.schedules import build_schedule


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 6, 3), nn.Flatten(), nn.Linear(24, 3))


def momenta(optimizer) -> list[float]:
    """Return the momentum or beta1 of every parameter group."""
    groups = optimizer.param_groups
    return [group["betas"][0] if "betas" in group else group["momentum"] for group in groups]


def follow(optimizer, config, progress: float) -> None:
    schedule = build_schedule(config)
    follow_schedule(optimizer, schedule.rate(progress), schedule.momentum(progress))


@settings(max_examples=25, deadline=None)
@given(
    batches=st.integers(2, 40),
    peak=st.floats(0.05, 0.95),
    initial=st.floats(0.01, 0.9),
    low=st.floats(0.5, 0.9),
    high=st.floats(0.9, 0.99),
    optimizer=st.sampled_from([Sgd(), Adam(), AdamW(), RMSprop(momentum=0.9)]),
)
def test_rate_and_momentum_equal_those_of_torch(batches, peak, initial, low, high, optimizer):
    """With linear annealing to 0; torch's last step, not its first after it, has the final rate."""
    config = OneCycle(peak=peak, initial=initial, momentum_low=low, momentum_high=high)
    ours, theirs = (build_optimizer(optimizer, network()) for _ in range(2))
    steps = batches + 1
    reference = torch.optim.lr_scheduler.OneCycleLR(
        theirs,
        max_lr=optimizer.learning_rate,
        total_steps=steps,
        pct_start=(peak * batches + 1) / steps,
        anneal_strategy="linear",
        base_momentum=low,
        max_momentum=high,
        div_factor=1 / initial,
        final_div_factor=1e30,
    )
    for batch in range(batches):
        follow(ours, config, batch / batches)
        for one, other in zip(ours.param_groups, theirs.param_groups, strict=True):
            assert one["lr"] == pytest.approx(other["lr"], rel=1e-9, abs=1e-12)
        assert momenta(ours) == pytest.approx(momenta(theirs), rel=1e-9)
        theirs.step()
        reference.step()


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.0, 0.95), (0.1, 0.9), (0.2, 0.85), (0.6, 0.9), (1.0, 0.95)]
)
@pytest.mark.parametrize("optimizer", [Sgd(), Adam(), AdamW(), RMSprop(momentum=0.5), Muon()])
def test_momentum_is_lowest_at_the_peak_of_the_rate(optimizer, progress, expected):
    built = build_optimizer(optimizer, network())
    follow(built, OneCycle(peak=0.2), progress)
    assert momenta(built) == pytest.approx([expected] * len(built.param_groups))


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        (Sgd(momentum=0.0), OneCycle()),
        (RMSprop(), OneCycle()),
        (Adam(beta1=0.0), OneCycle()),
        (Sgd(momentum=0.7), OneCycle(cycle_momentum=False)),
        (Muon(momentum=0.7), OneCycle(cycle_momentum=False)),
        (AdamW(beta1=0.7), Cosine()),
    ],
)
def test_momentum_is_constant_if_it_is_0_or_not_cycled(optimizer, schedule):
    built = build_optimizer(optimizer, network())
    before = momenta(built)
    for progress in (0.0, 0.3, 0.9):
        follow(built, schedule, progress)
        assert momenta(built) == before


@pytest.mark.parametrize("optimizer", [Sgd(), Adam(), AdamW(), RMSprop(momentum=0.5)])
def test_a_step_with_cycled_momentum_does_not_synchronize(optimizer):
    model = network()
    built = build_optimizer(optimizer, model)
    for progress in (0.0, 0.5):
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        with Synchronizations() as synchronizations:
            follow(built, OneCycle(), progress)
            built.step()
        assert synchronizations.count == 0
