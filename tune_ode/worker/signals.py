"""Ctrl-C and SIGTERM: something to act on, or for another process to act on."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def on_signal(act: Callable[[], None]) -> Iterator[None]:
    """Act on Ctrl-C and SIGTERM."""

    def handler(number: int, frame: object) -> None:
        act()

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextlib.contextmanager
def interrupts_stay_here() -> Iterator[None]:
    """Let processes that this thread starts meanwhile never hear Ctrl-C.

    A terminal sends it to all; the one that started them tells them what to do.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # they inherit it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
