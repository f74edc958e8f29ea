"""Spawned processes that do not run the main script again."""

from __future__ import annotations

import multiprocessing.spawn
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

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

    with patch.object(multiprocessing.spawn, "get_preparation_data", without_main):
        yield
