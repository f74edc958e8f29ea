"""Environment variables and loggers of Ray during a search; they are restored after it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType

from tune_ode.process.spawn import environment

_SET = MappingProxyType(
    {
        "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the search handles Ctrl-C
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_GLOBAL_CHECKPOINT_S": "inf",  # its growing snapshots are never read
        "TUNE_MAX_PENDING_TRIALS_PG": "1000000",  # the search limits concurrency itself
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints a table even when silenced
    }
)
_DEFAULTS = MappingProxyType(
    {
        "RAY_USAGE_STATS_ENABLED": "0",
        # the first attempt often comes too early, and by default the next follows after a second
        "RAY_raylet_client_connect_timeout_milliseconds": "100",
        "RAY_raylet_client_num_connect_attempts": "100",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # silences a warning about its default
    }
)
_CHANGED = ("PYTHONBREAKPOINT",)
"""Variables that Ray sets itself, for its debugger."""


@contextmanager
def ray_environment() -> Iterator[None]:
    """Set the variables that Ray reads when it is imported, and while it runs a search."""
    home = {} if os.path.isabs(os.path.expanduser("~")) else {"HOME": "/"}
    # an unknown user has no home directory, and Ray Tune cannot be imported; as in Docker
    defaults = {name: value for name, value in _DEFAULTS.items() if name not in os.environ}
    with environment({**_SET, **defaults, **home}, changed=_CHANGED):
        yield


@contextmanager
def log_level(name: str, level: int) -> Iterator[None]:
    """Set the level of a logger; restore it after the block."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
