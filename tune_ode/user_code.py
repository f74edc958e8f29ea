"""Import objects that a user names by `package.module:NAME`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from tune_ode.errors import UsageError, first_line, suggest_name


def import_object(reference: str, kind: type | None = None) -> Any:
    """Return the object that `package.module:NAME` refers to.

    The current directory is searched last, so its files shadow no installed module.

    Args:
        reference: module and attribute, separated by a colon.
        kind: required type of the object; None accepts any.

    Raises:
        UsageError: the module cannot be imported, or has no such object.
    """
    module_name, _, name = reference.partition(":")
    here = str(Path.cwd())
    search_path = sys.path.copy()
    sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module may raise anything
        reason = first_line(error)
        if not isinstance(error, ImportError):
            reason = f"{type(error).__name__}: {reason}"
        raise UsageError(
            f"cannot import {module_name}: {reason}; expected package.module:NAME, importable from "
            f"{here} or PYTHONPATH"
        ) from None
    finally:
        sys.path[:] = search_path
    value = getattr(module, name, None)
    if value is None or (kind is not None and not isinstance(value, kind)):
        valid = [
            known
            for known, found in vars(module).items()
            if not known.startswith("_")
            and (callable(found) if kind is None else isinstance(found, kind))
        ]
        what = f"{kind.__name__ if kind else 'name'} in {module_name}"
        raise UsageError(suggest_name(what, name, valid or ["none"]))
    return value
