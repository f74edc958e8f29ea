"""A process that is silent for too long ends, and its stack says where it was."""

import multiprocessing
import re
import time

import pytest

from tune_ode.runs.folder import read_hang_stack
from tune_ode.worker.watchdog import Watchdog


def wait_for_ever():
    time.sleep(1000)


def hold_the_interpreter():
    """Keep Python's lock in C code, where no other thread of Python runs."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def be_quick():
    time.sleep(0.01)


def work(folder, what):
    watchdog = Watchdog(folder, 0.5)
    for _ in range(3):
        with watchdog.watching():
            be_quick()
    time.sleep(0.7)  # nothing is expected of it here
    with watchdog.watching():
        what()
    watchdog.close()


@pytest.fixture
def worked(tmp_path):
    def run(what):
        process = multiprocessing.get_context("fork").Process(target=work, args=(tmp_path, what))
        process.start()
        process.join(60)
        return process.exitcode, read_hang_stack(tmp_path)

    return run


@pytest.mark.parametrize("what", [wait_for_ever, hold_the_interpreter])
def test_a_stuck_process_ends_and_leaves_its_stack(worked, what):
    status, stack = worked(what)
    assert status == 1
    assert what.__name__ in stack


def test_a_process_that_goes_on_leaves_nothing(worked, tmp_path):
    assert worked(be_quick) == (0, None)
    assert not list(tmp_path.iterdir())


def test_of_a_run_in_an_object_store_the_stack_is_put_there(object_store, tmp_path):
    store = object_store()

    def keep(key, content):  # the process ends: what it wrote to its memory would be gone
        (tmp_path / key.replace("/", "-")).write_bytes(content)

    store.on_write = keep
    process = multiprocessing.get_context("fork").Process(
        target=work, args=(store.path, wait_for_ever)
    )
    process.start()
    process.join(60)
    assert process.exitcode == 1
    assert wait_for_ever.__name__ in (tmp_path / "bucket-run-stack.txt").read_text()
