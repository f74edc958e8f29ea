"""Handle Ctrl-C and SIGTERM, or keep Ctrl-C from child processes."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def on_signal(callback: Callable[[], None]) -> Iterator[None]:
    """Call a function on Ctrl-C and SIGTERM.

    In another thread than the main one, do nothing: Python runs signal handlers in the main thread,
    which belongs to the caller.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(number: int, frame: object) -> None:
        callback()

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextlib.contextmanager
def block_interrupts() -> Iterator[None]:
    """Keep Ctrl-C from processes that this thread starts in the block.

    A terminal sends Ctrl-C to all processes; only the one that started the others handles it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # child processes inherit it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
