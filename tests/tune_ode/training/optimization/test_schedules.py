"""Schedules compared with closed forms, and plateau with that of torch."""

import math
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_ode.config.optimization import (
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Plateau,
    ScheduleConfig,
    ScheduleName,
    Step,
)
from tune_ode.training.optimization.schedules import SCHEDULES, WARMUP_START, build_schedule

CONTINUOUS = [
    Constant(warmup=0.2),
    Cosine(warmup=0.1, final=0.05),
    OneCycle(peak=0.4, initial=0.1),
    Exponential(warmup=0.3, final=0.02),
    Plateau(warmup=0.5),
]


def test_every_configurable_schedule_has_a_builder():
    assert set(SCHEDULES) == set(get_args(ScheduleName))


@pytest.mark.parametrize(
    ("config", "progress", "expected"),
    [
        (Constant(), 0.0, 1.0),
        (Constant(), 0.9, 1.0),
        (Step(milestones=(0.25, 0.5), factor=0.1), 0.2499, 1.0),
        (Step(milestones=(0.25, 0.5), factor=0.1), 0.25, 0.1),
        (Step(milestones=(0.25, 0.5), factor=0.1), 0.75, 0.01),
        (Cosine(final=0.2), 0.0, 1.0),
        (Cosine(final=0.2), 0.5, 0.6),
        (Cosine(final=0.2), 1.0, 0.2),
        (Cosine(), 1 / 3, (1 + math.cos(math.pi / 3)) / 2),
        (Cosine(warmup=0.2), 0.6, 0.5),
        (OneCycle(peak=0.25, initial=0.2), 0.0, 0.2),
        (OneCycle(peak=0.25, initial=0.2), 0.125, 0.6),
        (OneCycle(peak=0.25, initial=0.2), 0.25, 1.0),
        (OneCycle(peak=0.25, initial=0.2), 0.625, 0.5),
        (OneCycle(peak=0.25, initial=0.2), 1.0, 0.0),
        (Exponential(final=0.01), 0.0, 1.0),
        (Exponential(final=0.01), 0.5, 0.1),
        (Exponential(final=0.01), 1.0, 0.01),
        (Exponential(final=0.01, warmup=0.5), 0.75, 0.1),
        (Plateau(), 0.7, 1.0),
    ],
)
def test_the_rate_matches_the_closed_form(config: ScheduleConfig, progress: float, expected: float):
    assert build_schedule(config).rate(progress) == pytest.approx(expected)


@pytest.mark.parametrize("warmup", [0.1, 0.5])
@pytest.mark.parametrize("schedule", [Constant, Cosine, Exponential, Plateau])
def test_a_warmup_increases_linearly_to_the_full_rate(schedule: type, warmup: float):
    rate = build_schedule(schedule(warmup=warmup)).rate
    assert rate(0.0) == WARMUP_START
    assert rate(warmup / 2) == pytest.approx((1 + WARMUP_START) / 2)
    assert rate(warmup) == pytest.approx(1.0)


def test_a_warmup_does_not_move_milestones():
    rate = build_schedule(Step(milestones=(0.2,), factor=0.1, warmup=0.4)).rate
    assert rate(0.3) == pytest.approx(0.1 * (WARMUP_START + (1 - WARMUP_START) * 0.75))


@pytest.mark.parametrize("config", CONTINUOUS, ids=lambda config: config.name)
@settings(max_examples=50, deadline=None)
@given(progress=st.floats(0, 0.999))
def test_rates_are_in_the_unit_interval_and_continuous(config: ScheduleConfig, progress: float):
    rate = build_schedule(config).rate
    assert 0 <= rate(progress) <= 1
    assert abs(rate(progress + 1e-3) - rate(progress)) <= 0.011  # the steepest slope is 10


@settings(max_examples=50, deadline=None)
@given(
    losses=st.lists(st.sampled_from([0.5, 1.0, 1.5, 2.0]), max_size=25),
    patience=st.integers(0, 3),
)
def test_plateau_lowers_the_rate_at_the_same_epochs_as_torch(losses: list[float], patience: int):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=patience, threshold=0.0, eps=0.0
    )
    schedule = build_schedule(Plateau(factor=0.5, patience=patience))
    for loss in losses:
        reference.step(loss)
        schedule.end_epoch(loss)
        assert schedule.rate(0.5) == optimizer.param_groups[0]["lr"]


def test_a_restored_plateau_continues_like_the_saved_one():
    losses = [1.0, 1.2, 1.1, 1.3, 0.9, 0.95, 0.96]
    for cut in range(len(losses)):
        expected, first, second = (build_schedule(Plateau(patience=1)) for _ in range(3))
        for loss in losses[:cut]:
            first.end_epoch(loss)
        second.load_state_dict(first.state_dict())
        for loss in losses[cut:]:
            second.end_epoch(loss)
        for loss in losses:
            expected.end_epoch(loss)
        assert second.rate(0.5) == expected.rate(0.5) < 1
