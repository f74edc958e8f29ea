"""Numbers and durations as text, and durations from text."""

from __future__ import annotations

import re

from tune_ode.errors import UsageError

_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(f"(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s?)?")


def pluralize(number: int, noun: str) -> str:
    """Return a count with its noun, "no" for zero.

    >>> pluralize(1, "GPU"), pluralize(0, "GPU"), pluralize(1200, "trial")
    ('1 GPU', 'no GPUs', '1,200 trials')
    """
    return f"{f'{number:,}' if number else 'no'} {noun}{'s' * (number != 1)}"


def parse_duration(text: str) -> float:
    """Return the seconds that `90`, `90s`, `1.5m`, `2h` or `1h30m` stand for, above 0.

    Raises:
        UsageError: the text is not a duration above zero.
    """
    match = _DURATION.fullmatch(text.strip())
    hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0, 0, 0)
    total = hours * 3600 + minutes * 60 + seconds
    if not total > 0:
        raise UsageError(f"expected a duration such as 90s, 6m or 1h30m, found '{text}'")
    return total


def format_duration(seconds: float) -> str:
    """Return a duration with its largest unit: 10 s, 1 min, 3 h.

    >>> format_duration(90)
    '1.5 min'
    """
    for unit, name in ((3600.0, "h"), (60.0, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.3g} s"


def format_clock(seconds: float) -> str:
    """Return seconds as on a stopwatch: 1:05, or 2:01:05 with hours."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
