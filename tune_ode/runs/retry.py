"""Retry requests to an object store that is briefly unavailable."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tune_ode.errors import RunFolderError, StorageUnavailable

RETRY_SECONDS = 60.0
"""Short enough to notice a real outage, long enough that a brief one does not end a search."""
_PAUSE_SECONDS = 2.0

_T = TypeVar("_T")


def retry(request: Callable[[], _T], *, once: bool = False) -> _T:
    """Return the result of a request, repeated for up to `RETRY_SECONDS` while it fails.

    Args:
        request: may be called several times.
        once: do not repeat it.

    Raises:
        StorageUnavailable: the last attempt failed.
        FileNotFoundError: the object does not exist; not retried.
    """
    deadline = time.monotonic() + (0.0 if once else RETRY_SECONDS)
    while True:
        try:
            return request()
        except RunFolderError as error:
            if time.monotonic() >= deadline:
                raise StorageUnavailable(
                    f"{error}; finished work is kept: resume the run when the store is available"
                ) from None
        time.sleep(_PAUSE_SECONDS)
