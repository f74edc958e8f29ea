"""What the C library does with memory that a training frees."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt(3)."""
_LARGE = 2**30
_LARGEST_OF_OLD = 2**25
"""Bytes; glibc before 2.35 takes no larger threshold."""


@cache
def disable_malloc_trim() -> None:
    """Let this process keep what it frees, for the next batch, which needs the same again.

    By default glibc hands every activation back to the system, which clears its pages when they are
    asked for again: a quarter of the seconds of a step on a CPU (docs/choosing-a-solver.md). What
    is kept comes back with `give_memory_back`. Without effect where there is no glibc.
    """
    library = _glibc()
    if library is None:
        return
    if not library.mallopt(_MMAP_THRESHOLD, _LARGE):
        library.mallopt(_MMAP_THRESHOLD, _LARGEST_OF_OLD)
    library.mallopt(_TRIM_THRESHOLD, _LARGE)


def trim_malloc() -> None:
    """Hand the memory that is free now back to the system."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None
