"""Patience with an object store that does not answer for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tune_ode.errors import RunFolderError, StorageUnavailable

RETRY_SECONDS = 60.0
"""A search of hours must not end with a store's bad minute."""
_PAUSE_SECONDS = 2.0

_A = TypeVar("_A")


def retry(request: Callable[[], _A], *, patient: bool = True) -> _A:
    """Return what a request to a store gives, trying again for a minute where it is refused.

    Args:
        request: may be made several times.
        patient: whether to try again at all.

    Raises:
        StorageLost: it was refused to the end.
        FileNotFoundError: the object is not there, which no patience changes.
    """
    until = time.monotonic() + RETRY_SECONDS * patient
    while True:
        try:
            return request()
        except RunFolderError as error:
            if time.monotonic() >= until:
                raise StorageUnavailable(
                    f"{error}; everything finished is kept: resume the run when it answers again"
                ) from None
        time.sleep(_PAUSE_SECONDS)
