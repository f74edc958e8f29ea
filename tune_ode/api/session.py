"""A call of the API: what it changes in the caller's process while it runs, and restores."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from tune_ode.tuning.ray_backend.session import connection_kept


@contextmanager
def session() -> Iterator[None]:
    """Restore torch's number of threads, the garbage collector and the connection to Ray."""
    import torch

    threads, frozen = torch.get_num_threads(), gc.get_freeze_count()
    try:
        with connection_kept():
            yield
    finally:
        torch.set_num_threads(threads)
        if not frozen:
            gc.unfreeze()
