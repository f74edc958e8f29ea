"""End in order when asked to by Ctrl-C, SIGTERM or SIGHUP, and keep these from child processes."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN_SECONDS = 0.2
"""A Ctrl-C so soon after another signal is the same: wrappers such as `make` pass it on."""

_RETRY_SECONDS = 0.05

_raised = False
"""Whether `interruptible` has raised an interrupt, which a callback may have swallowed."""
forced = False
"""Whether a later Ctrl-C has asked to exit without waiting."""


@contextlib.contextmanager
def on_signal(stop: Callable[[], None], *, after_import: bool = False) -> Iterator[None]:
    """Call `stop` at the first signal that asks the process to end; at a later Ctrl-C, raise.

    A terminal that closes sends SIGHUP several times, so only Ctrl-C counts again. A SIGHUP that is
    ignored, as under `nohup`, stays so. Threads other than the main one cannot handle signals.

    Args:
        stop: what to call.
        after_import: wait for the end of an import, which an exception of `stop` would break.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    first: float | None = None

    def handler(number: int, frame: FrameType | None) -> None:
        global forced
        nonlocal first
        now = time.monotonic()
        if after_import and _is_importing(frame):
            main = threading.main_thread().ident
            again = threading.Timer(_RETRY_SECONDS, signal.pthread_kill, (main, number))
            again.daemon = True
            again.start()
        elif first is None:
            first = now
            stop()
        elif number == signal.SIGINT and now - first > _AGAIN_SECONDS:
            forced = True
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]
    for number in before:
        signal.signal(number, handler)
    try:
        if _raised:
            handler(signal.SIGTERM, None)
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first signal, outside of blocks with their own `on_signal`.

    If a callback swallows it, the next `on_signal` stops at once; if another error replaces it,
    that counts as the interrupt.
    """
    global _raised

    def interrupt() -> None:
        global _raised
        _raised = True
        raise KeyboardInterrupt

    _raised = False
    try:
        with on_signal(interrupt, after_import=True):
            yield
    except Exception:
        if _raised:
            raise KeyboardInterrupt from None
        raise
    finally:
        _raised = False


@contextlib.contextmanager
def block_signals() -> Iterator[None]:
    """Keep the signals from processes that this thread starts in the block.

    They reach all processes of a group; only the one that started the others handles them. To end
    such a process, use SIGKILL.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # child processes inherit it
    try:
        resource_tracker.ensure_running()  # which must live on, too; its start unblocks some
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
