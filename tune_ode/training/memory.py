"""Settings of glibc for memory that a training frees."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt(3)."""
_LARGE = 2**30
_LARGE_BEFORE_2_35 = 2**25
"""Bytes; the largest threshold that glibc before 2.35 accepts."""


@cache
def disable_malloc_trim() -> None:
    """Let this process keep freed memory for reuse by the next batch.

    By default glibc returns every activation to the system, which clears the pages when they are
    allocated again: a quarter of the time of a step on a CPU
    (docs/concepts/choosing-a-solver.md). Call `trim_malloc` to return the memory. No effect
    without glibc.
    """
    library = _glibc()
    if library is None:
        return
    if not library.mallopt(_MMAP_THRESHOLD, _LARGE):
        library.mallopt(_MMAP_THRESHOLD, _LARGE_BEFORE_2_35)
    library.mallopt(_TRIM_THRESHOLD, _LARGE)


def trim_malloc() -> None:
    """Return free memory to the system."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None
