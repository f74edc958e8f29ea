"""Errors that a user can meet; a message states the requirement, what was found and the remedy."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable
from urllib.parse import unquote

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""Error numbers of a full disk, an exhausted quota, a file-size limit, a read-only file system: the
run can be resumed once files can be written again."""

_MOST_LISTED = 16
"""Valid names in a message; of more, those most like the unknown one."""


_CREDENTIALS = (
    # a user alone is often a token
    re.compile(r"(https?://)[^\s/?#@:]+(?=@)", re.IGNORECASE),
    re.compile(r"(\w://[^\s/?#@:]*:)(?:[^\s/?#]*|[^\s@]+)(?=@)"),
    re.compile(
        r"(\b[\w.-]*(?:passw|passphrase|secret|token|api_?key|access_?key|credential|signature)"
        r"[\w.-]*=)(?:'[^']*'|\"[^\"]*\"|[^\s&;,'\"]+)",
        re.IGNORECASE,
    ),
    re.compile(r"(\b(?:Bearer|Basic) )[^\s'\"]+"),
)
"""Logins of URLs, options of URLs and connection strings, and HTTP headers; a group, and the
credential after it."""


def redact(text: str) -> str:
    """Return text with the credentials in its URLs and connection strings replaced by `***`.

    >>> redact("postgresql://user:secret@host/db?sslpassword=secret")
    'postgresql://user:***@host/db?sslpassword=***'
    """
    found, unquoted = _redact(text), unquote(text)
    # a URL within the options of a URL is quoted
    return found if unquoted == text or _redact(unquoted) == unquoted else _redact(unquoted)


def _redact(text: str) -> str:
    for pattern in _CREDENTIALS:
        text = pattern.sub(r"\1***", text)
    return text


class TuneOdeError(Exception):
    """Base class; the command line prints the message as one line, without credentials."""

    def __str__(self) -> str:
        return redact(super().__str__())


class UsageError(TuneOdeError):
    """Wrong usage: a bad option, an unknown name, missing data (exit status 2)."""


class ConfigurationError(UsageError):
    """A configuration, or a combination of its values, that cannot be trained."""


class DataError(UsageError):
    """A data set that is missing, unreadable or unsuitable for classification."""


class DataChanged(DataError):
    """The images of a run are not those that it started with; restored, the run can continue."""


class RunFolderError(UsageError):
    """A run directory that is missing, damaged, in use, or not writable."""


class StorageFull(TuneOdeError):
    """No space left while a run was written; finished work is kept (exit status 1)."""


class StorageUnavailable(TuneOdeError):
    """A run's object store stopped accepting writes; finished work is kept (exit status 1)."""


class RunFailed(TuneOdeError):
    """A run ended because something is wrong (exit status 1)."""


class Interrupted(TuneOdeError):
    """A user interrupted a run; the message has the command that resumes it (exit status 130)."""


class SolveFailed(TuneOdeError):
    """An ODE solve met one of its bounds; the trial ends as `diverged`.

    Raised on step-size underflow, a non-finite state, or too many function evaluations; the message
    names the bound and the remedy.
    """


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, redacted, or its type if it has no message."""
    return redact((str(error).strip() or type(error).__name__).splitlines()[0])


def suggest_name(kind: str, name: str, valid: Iterable[str]) -> str:
    """Return one line on an unknown name, with the nearest valid name and all of them.

    >>> suggest_name("solver", "dopri", ["euler", "dopri5"])
    "unknown solver 'dopri'; did you mean 'dopri5'? valid: euler, dopri5"
    """
    names = list(valid)
    known = {each.casefold(): each for each in reversed(names)}
    near = [known[each] for each in difflib.get_close_matches(name.casefold(), known, n=1)]
    hint = f" did you mean '{near[0]}'?" if near else ""
    if len(names) > _MOST_LISTED:
        others = len(names) - _MOST_LISTED
        names = [*difflib.get_close_matches(name, names, _MOST_LISTED, 0), f"and {others} more"]
    return f"unknown {kind} '{name}';{hint} valid: {', '.join(names)}"
