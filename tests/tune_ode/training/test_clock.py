"""Clocks: measured blocks, device synchronization, resuming."""

import math
import multiprocessing
import os

import pytest
import torch

from tune_ode.training import clock as clock_module
from tune_ode.training.clock import Stopwatch, TrialClock, waiting_seconds

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


def test_waiting_for_cores_is_summed_over_the_threads(tmp_path):
    for thread, waited in (("7", 2_500_000_000), ("9", 500_000_000)):
        (tmp_path / thread).mkdir()
        (tmp_path / thread / "schedstat").write_text(f"123 {waited} 45\n")
    assert waiting_seconds(tmp_path) == 3.0
    assert math.isnan(waiting_seconds(tmp_path / "not Linux"))


@pytest.mark.parametrize(
    ("readings", "expected"),
    [([5.0, 7.0, 7.5, 7.5], 2.0), ([5.0, 4.0, 4.0, 6.0], 2.0), ([math.nan] * 4, math.nan)],
    ids=["waits", "a thread ends", "not counted"],
)
def test_a_stopwatch_counts_the_waiting_of_its_blocks(clock, monkeypatch, readings, expected):
    monkeypatch.setattr(clock_module, "waiting_seconds", iter(readings).__next__)
    times = TrialClock(CPU, clock)
    for _ in range(2):
        with times.train:
            pass
    assert times.train.waiting_seconds == pytest.approx(expected, nan_ok=True)
    monkeypatch.undo()
    resumed = TrialClock(CPU, clock)
    resumed.load_state_dict(times.state_dict())
    assert resumed.train.waiting_seconds == pytest.approx(expected, nan_ok=True)


def pin_and_spin(core, started):
    os.sched_setaffinity(0, {core})
    started.set()
    while True:
        pass


def waiting_share(core):
    os.sched_setaffinity(0, {core})
    watch = TrialClock(CPU).train
    with watch:
        while watch.read() < 1.0:
            pass
    return watch.waiting_seconds / (watch.waiting_seconds + watch.cpu_seconds)


@pytest.mark.long
def test_a_process_waits_half_of_the_time_for_a_core_that_another_one_uses():
    spawn = multiprocessing.get_context("spawn")
    core, started = min(os.sched_getaffinity(0)), spawn.Event()
    other = spawn.Process(target=pin_and_spin, args=(core, started), daemon=True)
    other.start()
    try:
        assert started.wait(60)
        with spawn.Pool(1) as pool:
            share = pool.apply(waiting_share, (core,))
    finally:
        other.kill()
    assert 0.3 < share < 0.9


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
