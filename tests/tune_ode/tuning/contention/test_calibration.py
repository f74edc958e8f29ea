"""Timing a step alone and beside others: whose turn it is, and what follows from the seconds."""

import dataclasses
import io
import math
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from tune_ode.cli.display.search import SearchDisplay
from tune_ode.config import TrialConfig
from tune_ode.records import Contention
from tune_ode.tuning.contention import calibration
from tune_ode.tuning.contention.calibration import (
    Window,
    calibrate,
    clock_column,
    is_covered,
    schedule_turns,
    slowdowns,
)
from tune_ode.tuning.launch import _measure_contention
from tune_ode.worker.spec import WorkerSpec

WORKPLACE = WorkerSpec(data_dir=None, device="cpu", threads=1)


class Threads:
    """A room whose processes are threads: each has its number, and they meet."""

    def __init__(self, most, name="here"):
        self.size, self.name, self.returned = most, name, None

    def run_all(self, work):
        meet = threading.Barrier(self.size, timeout=60).wait
        with ThreadPoolExecutor(self.size) as pool:
            self.returned = list(pool.map(partial(work, barrier=meet), range(self.size)))
        return self.returned


class Instant:
    """Stands for a training: half a CPU second a step."""

    def __init__(self, base, workplace):
        pass

    def run(self, seconds):
        return Window(steps=4, train_seconds=4.0, train_cpu_seconds=2.0, device="cpu")


@pytest.mark.parametrize(("size", "at_once"), [(2, [2]), (3, [2, 3]), (16, [2, 4, 8, 16])])
def test_which_numbers_of_trials_are_timed(size, at_once):
    assert schedule_turns(size) == [range(1), range(1, 2), *map(range, at_once)]


def test_everyone_trains_in_its_turns_only_and_all_at_once(monkeypatch):
    monkeypatch.setattr(calibration, "Stepper", Instant)
    room = Threads(3)
    (sharing,) = calibrate(TrialConfig(), WORKPLACE, room).values()
    trained = [[one is not None for one in windows[:4]] for windows in room.returned]
    # alone, alone, two, three
    assert trained == [
        [True, False, True, True],
        [False, True, True, True],
        [False, False, False, True],
    ]
    assert sharing.column == "train_cpu_seconds"
    assert (sharing.concurrency, sharing.slowdown) == ([1, 2, 3], [1.0, 1.0, 1.0])
    assert sharing.error == [0.0, 0.0, 0.0]
    assert sharing.step_seconds == 0.5


def test_a_slowdown_compares_a_process_with_itself_within_a_repetition():
    drift = np.array([[1.0], [1.2], [3.0]])
    first = drift * [1.0, math.nan, 1.5, 2.0]
    second = 1.5 * drift * [math.nan, 1.0, 1.5, 2.0]  # on a slower core
    slowdown, error = slowdowns([first, second])
    assert slowdown == pytest.approx([1.5, 2.0])
    assert error == pytest.approx([0.0, 0.0], abs=1e-12)


def test_one_disturbed_repetition_moves_the_error_and_not_the_slowdown():
    first = np.array([[1.0, math.nan, 1.5]] * 5)
    first[3, 2] = 4.5
    slowdown, error = slowdowns([first, np.array([[math.nan, 1.0, 1.5]] * 5)])
    assert slowdown == [1.5]
    # ratios 1.5 four times and 3: deviation 1.5 / √5; of a median √(π/2) times that of a mean
    assert error == pytest.approx([math.sqrt(math.pi / 2) * 1.5 / math.sqrt(5) / math.sqrt(5)])


def test_what_was_measured_before_holds_for_equal_trials_on_the_same_node():
    known = Contention(
        column="train_seconds", concurrency=[1, 2], slowdown=[1.0, 2.0], error=[0.0, 0.1],
        step_seconds=1.0, repetitions=5, threads=1, node="here",
    )  # fmt: skip
    assert is_covered([known], WORKPLACE, Threads(2))
    assert not is_covered([], WORKPLACE, Threads(2))
    assert not is_covered([known], WORKPLACE, Threads(3))
    assert not is_covered([known], dataclasses.replace(WORKPLACE, threads=2), Threads(2))
    assert not is_covered([known], WORKPLACE, Threads(2, name="there"))


def test_a_real_training_steps_for_as_long_as_it_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path))
    base = TrialConfig().with_values({"model.width": 8, "solver.method": "euler"})
    stepper = calibration.Stepper(base, WORKPLACE)
    short, long = stepper.run(0.0001), stepper.run(0.3)
    assert short.steps == 1
    assert long.steps > 9, "an epoch of digits has 9 batches, and it goes on to the next"
    assert long.train_seconds >= 0.3
    assert long.train_cpu_seconds > 0
    assert long.device == "cpu"


@pytest.fixture
def measure(make_search, drive, monkeypatch):
    """Return a function that does what a search does after its last trial."""
    monkeypatch.setattr(calibration, "Stepper", Instant)
    search = make_search(trials=2)
    drive(search)

    def measure(*rooms, wanted=True, stopped=None):
        if stopped is not None:
            search.stop(stopped)
        out = io.StringIO()
        display = SearchDisplay(search, Console(file=out, width=200))
        chosen = SimpleNamespace(
            options=SimpleNamespace(calibrate=wanted), base=TrialConfig(), worker=WORKPLACE
        )
        _measure_contention(search, search.folder, chosen, display, lambda: rooms)
        return search.folder.manifest.contention, out.getvalue()

    return measure


class Never(Threads):
    def run_all(self, work):
        raise AssertionError("nothing is to be timed")


def test_it_is_measured_once_and_written_down(measure):
    sharing, told = measure(Threads(2))
    assert Contention.from_json(sharing["cpu"]).concurrency == [1, 2]
    assert told == "timing a training step alone and beside 1 other on here …\n"
    assert measure(Never(2)) == (sharing, "")


def test_who_interrupts_a_search_need_not_wait_for_it(measure):
    assert measure(Never(2), stopped="interrupted") == ({}, "")


def test_a_search_whose_time_is_up_still_measures_it(measure):
    assert measure(Threads(2), stopped="the time budget is used up")[0]


def test_an_interrupt_ends_no_more_than_the_timing(measure):
    class Interrupted(Threads):
        def run_all(self, work):
            signal.raise_signal(signal.SIGINT)

    sharing, told = measure(Interrupted(2))
    assert sharing == {}
    assert "the price of sharing is not known: interrupted" in told


def test_cpu_seconds_are_what_counts_where_no_thread_waits_for_another():
    assert clock_column("cpu", 1) == "train_cpu_seconds"
    assert clock_column("cpu", 2) == clock_column("cuda", 1) == "train_seconds"


@pytest.mark.parametrize(("at_once", "wanted"), [(1, True), (2, False)])
def test_it_is_not_measured_where_nothing_is_shared_or_nobody_wants_it(measure, at_once, wanted):
    assert measure(Never(at_once), wanted=wanted) == ({}, "")


def test_a_step_that_cannot_be_timed_keeps_neither_a_search_nor_another_node(measure):
    class Failing(Threads):
        def run_all(self, work):
            raise RuntimeError("Traceback …\nDiverged: the loss is not finite")

    sharing, told = measure(Failing(2, name="there"), Threads(3))
    assert "the price of sharing is not known: Diverged: the loss is not finite" in told
    assert sharing["cpu"]["node"] == "here"
