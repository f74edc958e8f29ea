"""Python processes that run neither the main script again nor files of the current directory."""

from __future__ import annotations

import multiprocessing.spawn
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

SAFE_PATH = MappingProxyType({"PYTHONSAFEPATH": "1"})
"""Environment of a Python process that imports nothing from the current directory."""
_MAIN = ("init_main_from_name", "init_main_from_path")


@contextmanager
def without_main_module() -> Iterator[None]:
    """Keep processes that are spawned in the block from importing the main module.

    `multiprocessing` imports it, for functions that are defined there. A script that starts a
    training at its top level would start it again in each process; ours need modules only.
    """
    prepare = multiprocessing.spawn.get_preparation_data

    def without_main(name: str) -> dict[str, Any]:
        return {key: value for key, value in prepare(name).items() if key not in _MAIN}

    with (
        environment(SAFE_PATH),
        patch.object(multiprocessing.spawn, "get_preparation_data", without_main),
    ):
        yield


@contextmanager
def environment(values: Mapping[str, str], *, changed: tuple[str, ...] = ()) -> Iterator[None]:
    """Set environment variables; restore them after the block, and those that the block changes."""
    before = {name: os.environ.get(name) for name in (*values, *changed)}
    os.environ |= values
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
