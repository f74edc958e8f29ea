"""Calibration: the schedule of the processes, slowdowns from their timings, and when it runs."""

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

from tests.factories import make_contention
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

WORKER = WorkerSpec(data_dir=None, device="cpu", threads=1)


class Threads:
    """A worker group whose processes are threads."""

    def __init__(self, size, name="here"):
        self.size, self.name, self.windows = size, name, None

    def run_all(self, work):
        barrier = threading.Barrier(self.size, timeout=60).wait
        with ThreadPoolExecutor(self.size) as pool:
            self.windows = list(pool.map(partial(work, barrier=barrier), range(self.size)))
        return self.windows


class FakeStepper:
    """Trains at half a CPU second per step."""

    def __init__(self, base, worker):
        pass

    def run(self, seconds):
        return Window(steps=4, train_seconds=4.0, train_cpu_seconds=2.0, device="cpu")


@pytest.mark.parametrize(("size", "concurrent"), [(2, [2]), (3, [2, 3]), (16, [2, 4, 8, 16])])
def test_powers_of_two_and_the_group_size_are_timed(size, concurrent):
    assert schedule_turns(size) == [range(1), range(1, 2), *map(range, concurrent)]


def test_processes_train_only_when_scheduled(monkeypatch):
    monkeypatch.setattr(calibration, "Stepper", FakeStepper)
    group = Threads(3)
    (contention,) = calibrate(TrialConfig(), WORKER, group).values()
    trained = [[window is not None for window in windows[:4]] for windows in group.windows]
    # isolated, isolated, two, three
    assert trained == [
        [True, False, True, True],
        [False, True, True, True],
        [False, False, False, True],
    ]
    assert contention.column == "train_cpu_seconds"
    assert (contention.concurrency, contention.slowdown) == ([1, 2, 3], [1.0, 1.0, 1.0])
    assert contention.error == [0.0, 0.0, 0.0]
    assert contention.step_seconds == 0.5


def test_a_slowdown_compares_a_process_with_itself_in_the_same_repetition():
    drift = np.array([[1.0], [1.2], [3.0]])
    first = drift * [1.0, math.nan, 1.5, 2.0]
    second = 1.5 * drift * [math.nan, 1.0, 1.5, 2.0]  # on a slower core
    slowdown, error = slowdowns([first, second])
    assert slowdown == pytest.approx([1.5, 2.0])
    assert error == pytest.approx([0.0, 0.0], abs=1e-12)


def test_a_disturbed_repetition_changes_the_error_but_not_the_slowdown():
    first = np.array([[1.0, math.nan, 1.5]] * 5)
    first[3, 2] = 4.5
    slowdown, error = slowdowns([first, np.array([[math.nan, 1.0, 1.5]] * 5)])
    assert slowdown == [1.5]
    # ratios 1.5 four times, and 3: deviation 1.5 / √5; the median has √(π/2) times the error
    assert error == pytest.approx([math.sqrt(math.pi / 2) * 1.5 / math.sqrt(5) / math.sqrt(5)])


def test_a_measurement_holds_for_equal_trials_on_the_same_node():
    known = make_contention()
    assert is_covered([known], WORKER, Threads(2))
    assert not is_covered([], WORKER, Threads(2))
    assert not is_covered([known], WORKER, Threads(3))
    assert not is_covered([known], dataclasses.replace(WORKER, threads=2), Threads(2))
    assert not is_covered([known], WORKER, Threads(2, name="there"))


@pytest.mark.usefixtures("working_directory")
def test_a_stepper_trains_for_the_given_time():
    base = TrialConfig().with_values({"model.width": 8, "solver.method": "euler"})
    stepper = calibration.Stepper(base, WORKER)
    short, long = stepper.run(0.0001), stepper.run(0.3)
    assert short.steps == 1
    assert long.train_seconds >= 0.3
    assert long.train_cpu_seconds > 0
    assert long.device == "cpu"
    steps = short.steps + long.steps
    while steps <= 9:  # an epoch of digits has 9 batches, and the next one follows
        steps += stepper.run(0.1).steps


@pytest.fixture
def measure(make_search, drive, monkeypatch):
    """Return a function that runs what follows the last trial; it returns contention and output."""
    monkeypatch.setattr(calibration, "Stepper", FakeStepper)
    search = make_search(trials=2)
    drive(search)

    def measure(*groups, enabled=True, stop_reason=None):
        if stop_reason is not None:
            search.stop(stop_reason)
        out = io.StringIO()
        display = SearchDisplay(search, Console(file=out, width=200))
        plan = SimpleNamespace(
            options=SimpleNamespace(calibrate=enabled), base=TrialConfig(), worker=WORKER
        )
        _measure_contention(search, search.folder, plan, display, lambda: groups)
        return search.folder.manifest.contention, out.getvalue()

    return measure


class Unused(Threads):
    def run_all(self, work):
        raise AssertionError("the group is not to be used")


def test_contention_is_measured_once_and_written(measure):
    contention, output = measure(Threads(2))
    assert Contention.from_json(contention["cpu"]).concurrency == [1, 2]
    assert output == "timing training steps with 1 to 2 concurrent trials on here …\n"
    assert measure(Unused(2)) == (contention, "")


def test_contention_is_measured_after_the_time_budget(measure):
    assert measure(Threads(2), stop_reason="time budget")[0]


def test_an_interrupt_ends_the_measurement_only(measure):
    class Interrupted(Threads):
        def run_all(self, work):
            signal.raise_signal(signal.SIGINT)

    contention, output = measure(Interrupted(2))
    assert contention == {}
    assert "contention was not measured: interrupted" in output


def test_cpu_seconds_measure_single_threaded_trials():
    assert clock_column("cpu", 1) == "train_cpu_seconds"
    assert clock_column("cpu", 2) == clock_column("cuda", 1) == "train_seconds"


@pytest.mark.parametrize(
    ("size", "options"), [(1, {}), (2, {"enabled": False}), (2, {"stop_reason": "interrupted"})]
)
def test_contention_is_not_measured_for_one_trial_if_disabled_or_interrupted(
    measure, size, options
):
    assert measure(Unused(size), **options) == ({}, "")


def test_a_failed_measurement_ends_neither_the_search_nor_that_of_another_node(measure):
    class Failing(Threads):
        def run_all(self, work):
            raise RuntimeError("Traceback …\nDiverged: the loss is not finite")

    contention, output = measure(Failing(2, name="there"), Threads(3))
    assert "contention was not measured: Diverged: the loss is not finite" in output
    assert contention["cpu"]["node"] == "here"
