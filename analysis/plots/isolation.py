"""Matplotlib without a user's configuration: pictures are the same on every machine.

The settings of the process, such as those of a notebook, are left as they are.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress remarks on a configuration that does not matter, fonts and missing glyphs."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _import() -> Any:
    """Import matplotlib; with its own configuration if it cannot read the user's."""
    with _quiet():
        try:
            return importlib.import_module("matplotlib")
        except Exception:
            backend = os.environ.pop("MPLBACKEND", None)
            directory = os.open(".", os.O_RDONLY)
            # the parts that were imported lack what the failed import had not defined yet
            for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
                del sys.modules[name]
            try:
                # the file in the working directory is the first that it looks for
                os.chdir(_package() / "mpl-data")
                return importlib.import_module("matplotlib")
            finally:
                os.fchdir(directory)
                os.close(directory)
                if backend is not None:
                    os.environ["MPLBACKEND"] = backend


def _package() -> Path:
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
    return Path(spec.origin).parent


_matplotlib = _import()
_SETTINGS = {
    **{name: value for name, value in _matplotlib.rcParamsDefault.items() if name != "backend"},
    "text.parse_math": False,  # a $ in the name of a class or parameter is a $
    "axes.titley": 1.0,  # saves measuring every axes before drawing it
}


@contextmanager
def isolated() -> Iterator[None]:
    """Use the default settings of matplotlib, to create and to render figures."""
    with _quiet(), _matplotlib.rc_context(_SETTINGS):
        yield
