"""Ctrl-C, SIGTERM and SIGHUP end a process in order; a later Ctrl-C does not wait."""

import contextlib
import signal
import subprocess
import sys
import time
from signal import SIGHUP, SIGINT, SIGTERM, raise_signal

import pytest

from tune_ode.process import signals
from tune_ode.process.signals import STOP_SIGNALS, block_signals, interruptible, on_signal


@pytest.fixture(autouse=True)
def handlers(monkeypatch):
    """Check that no block changes the handlers or the mask of the process."""
    monkeypatch.setattr(signals, "forced", False)
    monkeypatch.setattr(signals, "_AGAIN_SECONDS", 0.0)
    inherited = signal.signal(SIGHUP, signal.SIG_DFL)  # ignored under `nohup`
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
    signal.signal(SIGHUP, inherited)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_the_first_signal_stops_and_only_a_later_ctrl_c_raises(number):
    stops = []
    with pytest.raises(KeyboardInterrupt), on_signal(lambda: stops.append(number)):
        for each in (number, SIGHUP, SIGTERM):
            raise_signal(each)
        assert (stops, signals.forced) == ([number], False)
        raise_signal(SIGINT)
    assert (stops, signals.forced) == ([number], True)


def test_a_ctrl_c_that_a_wrapper_passes_on_is_the_same(monkeypatch):
    monkeypatch.setattr(signals, "_AGAIN_SECONDS", 60.0)
    with on_signal(lambda: None):
        raise_signal(SIGINT)
        raise_signal(SIGINT)


def test_an_ignored_hangup_stays_ignored():
    before = signal.signal(SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        with on_signal(lambda: pytest.fail("it is ignored")):
            raise_signal(SIGHUP)
    finally:
        signal.signal(SIGHUP, before)


def test_an_interrupt_waits_for_the_end_of_an_import(tmp_path, monkeypatch):
    """Python prints and loses an exception that is raised in the lock of a module."""
    (tmp_path / "slow.py").write_text(
        "import signal; signal.raise_signal(signal.SIGTERM); done = True"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt), interruptible():
        import slow

        assert slow.done
        time.sleep(10)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_an_interrupt_that_a_callback_swallows_stops_the_next_block(number):
    stops = []
    with interruptible():
        with contextlib.suppress(KeyboardInterrupt):
            raise_signal(number)
        with on_signal(lambda: stops.append(number)):
            assert stops == [number]


def test_an_interrupt_that_is_replaced_by_another_error_is_one():
    with pytest.raises(KeyboardInterrupt), interruptible():
        try:
            raise_signal(SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None
    with pytest.raises(ImportError), interruptible():
        raise ImportError


def test_child_processes_do_not_receive_the_signals():
    with block_signals():
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    for number in STOP_SIGNALS:
        child.send_signal(number)
    child.communicate(b"\n")
    assert child.returncode == 0
