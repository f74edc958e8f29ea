"""Every error a user can meet; each message says what must hold, what was found, and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TuneOdeError(Exception):
    """An error whose message is meant for the user; the command line prints it as one line."""


class UsageError(TuneOdeError):
    """The question was wrong: bad option, unknown name, missing data (exit status 2)."""


class ConfigurationError(UsageError):
    """A configuration, or a combination of its values, that cannot be trained."""


class DataError(UsageError):
    """A data set that is missing, unreadable or unfit for classification."""


class RunFolderError(UsageError):
    """A run folder that is missing, damaged, in use, or cannot be written."""


class StorageFull(TuneOdeError):
    """The disk filled up while a run was written; what was finished is kept (exit status 1)."""


class StorageUnavailable(TuneOdeError):
    """A run's object store that takes no more writes; what was finished is kept (exit status 1)."""


class RunFailed(TuneOdeError):
    """A run that ended because something is wrong (exit status 1)."""


class Interrupted(TuneOdeError):
    """A run that a person interrupted; says how to continue it (exit status 130)."""


class SolveFailed(TuneOdeError):
    """An ODE solve that met one of its bounds; the trial ends as `diverged`.

    Raised for step-size underflow, a non-finite state, or a function-evaluation budget exceeded;
    the message names the bound and the remedy.
    """


def first_line(error: BaseException) -> str:
    """Return what an error says, in one line; its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def suggest_name(kind: str, name: str, valid: Iterable[str]) -> str:
    """One line for a name that is not known: what was found, the nearest valid name, all of them.

    >>> unknown_name("solver", "dopri", ["euler", "dopri5"])
    "unknown solver 'dopri'; did you mean 'dopri5'? valid: euler, dopri5"
    """
    names = list(valid)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" did you mean '{near[0]}'?" if near else ""
    return f"unknown {kind} '{name}';{hint} valid: {', '.join(names)}"
