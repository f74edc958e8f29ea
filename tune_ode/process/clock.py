"""A clock for time stamps and durations that nobody can set."""

from __future__ import annotations

import time
from collections.abc import Callable


def steady_clock() -> Callable[[], float]:
    """Return a clock of Unix seconds that does not jump when the machine's clock is set.

    It shows the Unix time of this call plus the seconds since, so that differences are durations.
    """
    offset = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset
