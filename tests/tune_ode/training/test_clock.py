"""The clock counts what it is told to, waits for the device at its ends, goes on when resumed."""

import math

import pytest
import torch

from tune_ode.training.clock import Stopwatch, TrialClock

CPU = torch.device("cpu")


def test_a_stopwatch_counts_inside_its_blocks_only(clock):
    watch = Stopwatch(CPU, clock)
    clock.advance(5)
    with watch:
        clock.advance(2)
        assert watch.read() == 2
        assert watch.seconds == 0
    clock.advance(7)
    with watch:
        clock.advance(3)
    assert watch.seconds == watch.read() == 5


def test_an_exception_inside_a_block_is_counted_and_passed_on(clock):
    watch = Stopwatch(CPU, clock)
    with pytest.raises(KeyError), watch:
        clock.advance(2)
        raise KeyError
    with watch:
        clock.advance(1)
    assert watch.seconds == 3


def test_a_gpu_is_waited_for_at_the_ends_of_a_block_and_never_between(clock, monkeypatch):
    """A GPU that has two seconds of work queued whenever it is waited for."""
    waits = []

    def wait(device: torch.device) -> None:
        waits.append(device)
        clock.advance(2)

    monkeypatch.setattr(torch.cuda, "synchronize", wait)
    watch = Stopwatch(torch.device("cuda", 0), clock)
    with watch:
        assert len(waits) == 1
        clock.advance(1)
        assert watch.read() == 1  # what was queued before is not this block's
        assert len(waits) == 1
    assert len(waits) == 2
    assert watch.seconds == 3  # what it queued itself is


def test_wall_and_cpu_run_from_the_start(clock):
    clock.advance(4)
    times = TrialClock(CPU, clock)
    with times.train:
        clock.advance(1)
    clock.advance(2)
    sum(range(10**6))
    assert times.wall == 3
    assert 0 < times.cpu < 5


def test_a_resumed_clock_adds_to_the_saved_one(clock):
    first = TrialClock(CPU, clock)
    with first.warmup:
        clock.advance(1)
    with first.train:
        clock.advance(2)
    with first.evaluation:
        clock.advance(4)
    saved = first.state_dict()
    clock.advance(1000)  # lost between the two processes
    second = TrialClock(CPU, clock)
    with second.warmup:
        clock.advance(1)
    second.load_state_dict(saved)
    with second.train:
        clock.advance(2)
    assert second.warmup.seconds == 2
    assert second.train.seconds == 4
    assert second.evaluation.seconds == 4
    assert second.wall == 10
    assert second.cpu >= saved["cpu"] > 0
    assert second.train.cpu_seconds >= saved["train_cpu"] > 0


def test_the_cpu_seconds_of_training_are_those_inside_its_blocks(clock):
    times = TrialClock(CPU, clock)
    sum(range(10**6))
    assert times.train.cpu_seconds == 0
    with times.train:
        sum(range(10**6))
    inside = times.train.cpu_seconds
    sum(range(10**6))
    assert 0 < inside == times.train.cpu_seconds < times.cpu


def test_a_checkpoint_that_did_not_count_them_leaves_them_unknown(clock):
    saved = TrialClock(CPU, clock).state_dict()
    del saved["train_cpu"]
    times = TrialClock(CPU, clock)
    times.load_state_dict(saved)
    assert math.isnan(times.train.cpu_seconds)
