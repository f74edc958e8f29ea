"""The watchdog ends a process that hangs, and keeps its stack."""

import multiprocessing
import re
import time

import pytest

from tune_ode.runs.folder import read_hang_stack
from tune_ode.worker.watchdog import Watchdog


def wait_forever():
    time.sleep(1000)


def hold_the_interpreter():
    """Hold the global interpreter lock in C code, so that no other Python thread runs."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def return_quickly():
    time.sleep(0.01)


def work(trial, function):
    watchdog = Watchdog(trial, 0.5)
    for _ in range(3):
        with watchdog.watching():
            return_quickly()
    time.sleep(0.7)  # outside `watching`
    with watchdog.watching():
        function()
    watchdog.close()


@pytest.fixture
def worked(tmp_path):
    """Return a function that works in a process and returns its exit status."""

    def run(function, trial=tmp_path):
        process = multiprocessing.get_context("fork").Process(target=work, args=(trial, function))
        process.start()
        process.join(60)
        return process.exitcode

    return run


@pytest.mark.parametrize("function", [wait_forever, hold_the_interpreter])
def test_a_hung_process_ends_and_leaves_its_stack(worked, tmp_path, function):
    assert worked(function) == 1
    assert function.__name__ in read_hang_stack(tmp_path)


def test_a_process_that_does_not_hang_leaves_no_stack(worked, tmp_path):
    assert worked(return_quickly) == 0
    assert read_hang_stack(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_the_stack_is_uploaded_to_an_object_store(worked, store, tmp_path):
    def keep(key, content):  # the memory of the process is gone when it ends
        (tmp_path / key.replace("/", "-")).write_bytes(content)

    store.on_write = keep
    assert worked(wait_forever, store.path) == 1
    assert wait_forever.__name__ in (tmp_path / "bucket-run-stack.txt").read_text()
