"""Clocks: measured blocks, device synchronization, resuming."""

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


def test_a_block_that_raises_is_counted(clock):
    watch = Stopwatch(CPU, clock)
    with pytest.raises(KeyError), watch:
        clock.advance(2)
        raise KeyError
    with watch:
        clock.advance(1)
    assert watch.seconds == 3


def test_a_gpu_is_synchronized_only_at_the_ends_of_a_block(clock, monkeypatch):
    """A simulated GPU with two seconds of queued work at each synchronization."""
    synchronized = []

    def synchronize(device: torch.device) -> None:
        synchronized.append(device)
        clock.advance(2)

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    watch = Stopwatch(torch.device("cuda", 0), clock)
    with watch:
        assert len(synchronized) == 1
        clock.advance(1)
        assert watch.read() == 1  # excludes work queued before the block
        assert len(synchronized) == 1
    assert len(synchronized) == 2
    assert watch.seconds == 3  # includes work queued in the block


def test_wall_and_cpu_time_start_with_the_trial(clock):
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
    clock.advance(1000)  # between the two processes
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


def test_cpu_seconds_of_training_exclude_other_work(clock):
    times = TrialClock(CPU, clock)
    sum(range(10**6))
    assert times.train.cpu_seconds == 0
    with times.train:
        sum(range(10**6))
    inside = times.train.cpu_seconds
    sum(range(10**6))
    assert 0 < inside == times.train.cpu_seconds < times.cpu
